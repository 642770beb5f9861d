-- Record where the new backup of a regeneration holds what is still to be replaced.
UPDATE {schema}.replacements
   SET backup_position = held.position
  FROM {schema}.backup_items AS held
 WHERE replacements.job_key = :job_key
   AND replacements.owner = :owner
   AND replacements.new_id IS NULL
   AND held.backup_key = :backup_key
   AND held.id = replacements.old_id
