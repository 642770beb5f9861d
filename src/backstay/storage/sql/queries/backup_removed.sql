-- The file of an expired backup is gone.
UPDATE {schema}.backups
   SET removed_at = :now
 WHERE key = :key
   AND owner = :owner
   AND state IN ('expired', 'failed')
