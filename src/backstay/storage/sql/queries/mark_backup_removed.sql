-- Record that the file of an expired backup is removed.
UPDATE {schema}.backups
   SET removed_at = :now
 WHERE key = :key
   AND owner = :owner
   AND state IN ('expired', 'failed')
