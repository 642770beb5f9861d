-- Return how a conversation replaced another, or was replaced, the latest first.
SELECT old_id, new_id, backup_id, replaced_at
  FROM {schema}.replacements
 WHERE owner = :owner
   AND new_id IS NOT NULL
   AND (old_id = :id OR new_id = :id)
 ORDER BY replaced_at DESC
