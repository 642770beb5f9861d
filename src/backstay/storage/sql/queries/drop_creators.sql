-- Leases on a job that is being removed.
DELETE FROM {schema}.workers
 WHERE job_key = :job_key
   AND owner = :owner
