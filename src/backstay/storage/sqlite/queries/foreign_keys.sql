-- Return every foreign key of every table, except those between our own tables, a row for each of its columns.
SELECT tables.name, keys.id, keys."table", keys."from", keys."to", keys.on_delete
  FROM sqlite_schema AS tables
  JOIN pragma_foreign_key_list(tables.name) AS keys
 WHERE tables.type = 'table'
   AND NOT (tables.name = 'turns' AND keys."table" = 'conversations' AND keys."from" = 'conversation_key')
 ORDER BY tables.name, keys.id, keys.seq
