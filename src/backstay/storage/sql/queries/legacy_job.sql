-- Return how many items of a waiting imported job are completed, and how many failed.
SELECT completed, failed
  FROM {schema}.legacy_jobs
 WHERE owner = :owner
   AND job_id = :job_id
