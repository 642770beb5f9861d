-- Return every trigger with its text.
SELECT name, tbl_name, sql
  FROM sqlite_schema
 WHERE type = 'trigger'
 ORDER BY tbl_name, name
