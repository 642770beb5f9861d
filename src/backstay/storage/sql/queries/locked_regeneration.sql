-- Return what a job regenerates, and keep its backup the same until the transaction ends.
SELECT source_job_key, source_job_id, backup_id
  FROM {schema}.regenerations
 WHERE job_key = :job_key
   AND owner = :owner
   {lock:FOR SHARE}
