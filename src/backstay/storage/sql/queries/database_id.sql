-- Return the id of this database.
SELECT value
  FROM {schema}.meta
 WHERE name = 'database_id'
