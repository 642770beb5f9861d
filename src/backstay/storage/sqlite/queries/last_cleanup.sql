-- When backups of an owner were last looked through for what has expired.
SELECT value
  FROM meta
 WHERE name = :name
