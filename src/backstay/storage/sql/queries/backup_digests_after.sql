-- Return the ids and digests of a backup's items from a position on; positions have no gaps.
SELECT id, digest, curation_digest
  FROM {schema}.backup_items
 WHERE backup_key = :key
   AND owner = :owner
   AND position >= :first
   AND position < CAST(:first AS bigint) + :limit
 ORDER BY position
