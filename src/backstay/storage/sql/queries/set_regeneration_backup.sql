-- Let another backup hold what a job is still to replace.
UPDATE {schema}.regenerations
   SET backup_id = :backup_id
 WHERE job_key = :job_key
   AND owner = :owner
