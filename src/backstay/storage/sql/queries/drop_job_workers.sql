-- End all leases on a job that is discarded.
DELETE FROM {schema}.workers
 WHERE job_key = :job_key
   AND owner = :owner
