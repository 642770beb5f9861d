-- Every trigger there is, with what it says.
SELECT name, tbl_name, sql
  FROM sqlite_schema
 WHERE type = 'trigger'
 ORDER BY tbl_name, name
