-- Return the conversations that a delete did not remove, each with the reason.
SELECT id, outcome
  FROM {schema}.backup_items
 WHERE backup_key = :key
   AND owner = :owner
   AND outcome IS NOT NULL
 ORDER BY position
 LIMIT :limit
