-- Return the id that tells this database from others.
SELECT value
  FROM {schema}.meta
 WHERE name = 'database_id'
