-- The tables that there are.
SELECT name
  FROM sqlite_schema
 WHERE type = 'table'
