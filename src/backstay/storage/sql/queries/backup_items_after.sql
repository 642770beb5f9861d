-- Return the items of a backup from a position on; positions have no gaps.
SELECT position, id, conversation_key, digest, row_version, curation_digest, late_curation
  FROM {schema}.backup_items
 WHERE backup_key = :key
   AND owner = :owner
   AND position >= :first
   AND position < CAST(:first AS bigint) + :limit
 ORDER BY position
