-- When backups of an owner were last looked through for what has expired.
SELECT value
  FROM {schema}.meta
 WHERE name = :name
