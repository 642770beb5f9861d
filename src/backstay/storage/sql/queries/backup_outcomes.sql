-- Conversations that a delete did not remove, and why.
SELECT id, outcome
  FROM {schema}.backup_items
 WHERE backup_key = :key
   AND owner = :owner
   AND outcome IS NOT NULL
 ORDER BY position
 LIMIT :limit
