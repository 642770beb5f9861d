-- Return the backup that holds what a job is still to replace.
SELECT backup_id
  FROM {schema}.regenerations
 WHERE job_key = :job_key
   AND owner = :owner
