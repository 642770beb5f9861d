-- What names this database among others.
SELECT value
  FROM {schema}.meta
 WHERE name = 'database_id'
