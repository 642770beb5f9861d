-- Return when a cleanup of an owner's backups last ran.
SELECT value
  FROM {schema}.meta
 WHERE name = :name
