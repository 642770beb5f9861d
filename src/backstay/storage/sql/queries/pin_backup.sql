-- A backup is pinned, or not any more.
UPDATE {schema}.backups
   SET pinned = :pinned
 WHERE key = :key
   AND owner = :owner
   AND state IN ('verified', 'damaged')
