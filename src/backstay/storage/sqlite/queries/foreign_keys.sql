-- Return every foreign key of every table, except those between our own tables, a row for each of its columns. A foreign
-- key may write the column that it refers to in another case than that column's table does.
SELECT tables.name, keys.id, keys."table", keys."from",
       coalesce((SELECT name FROM pragma_table_info(keys."table") WHERE name = keys."to" COLLATE NOCASE), keys."to"),
       keys.on_delete
  FROM sqlite_schema AS tables
  JOIN pragma_foreign_key_list(tables.name) AS keys
 WHERE tables.type = 'table'
   AND NOT (tables.name = 'turns' AND keys."table" = 'conversations' AND keys."from" = 'conversation_key')
   AND tables.name NOT IN ('conversation_reviews', 'conversation_tags', 'conversation_versions')
 ORDER BY tables.name, keys.id, keys.seq
