-- Return the item counts of an imported job that waits, by state.
SELECT completed, failed
  FROM {schema}.legacy_jobs
 WHERE owner = :owner
   AND job_id = :job_id
