-- What names this database among others.
SELECT value
  FROM meta
 WHERE name = 'database_id'
