-- What a backup holds, in order, from a position on; positions have no gaps.
SELECT position, id, conversation_key, digest, row_version
  FROM backup_items
 WHERE backup_key = :key
   AND owner = :owner
   AND position >= :first
   AND position < :first + :limit
 ORDER BY position
