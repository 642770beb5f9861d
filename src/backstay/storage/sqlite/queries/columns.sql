-- Return the stored columns of conversations and turns with their declared types, without generated columns.
WITH tables (name) AS (VALUES ('conversations'), ('turns'))
SELECT tables.name, described.name, described.type
  FROM tables
 CROSS JOIN pragma_table_info(tables.name) AS described
 ORDER BY tables.name, described.cid
