-- The ids and digests of what a backup holds, in order, from a position on; positions have no gaps.
SELECT id, digest
  FROM backup_items
 WHERE backup_key = :key
   AND owner = :owner
   AND position >= :first
   AND position < :first + :limit
 ORDER BY position
