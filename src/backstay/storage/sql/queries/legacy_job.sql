-- Return how many items an imported job that waits has, by state.
SELECT completed, failed
  FROM {schema}.legacy_jobs
 WHERE owner = :owner
   AND job_id = :job_id
