-- Leases on a job that is being removed.
DELETE FROM workers
 WHERE job_key = :job_key
   AND owner = :owner
