-- Return the names of all tables.
SELECT name
  FROM sqlite_schema
 WHERE type = 'table'
