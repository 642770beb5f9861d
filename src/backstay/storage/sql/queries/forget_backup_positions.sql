-- Forget where the backup of a regeneration holds what is still to be replaced: it has another backup now.
UPDATE {schema}.replacements
   SET backup_position = NULL
 WHERE job_key = :job_key
   AND owner = :owner
   AND new_id IS NULL
