-- Pin or unpin a backup.
UPDATE {schema}.backups
   SET pinned = :pinned
 WHERE key = :key
   AND owner = :owner
   AND state IN ('verified', 'damaged')
