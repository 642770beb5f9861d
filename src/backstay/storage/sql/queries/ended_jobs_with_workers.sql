-- Return the ended jobs that still have workers.
SELECT DISTINCT jobs.id
  FROM {schema}.workers
  JOIN {schema}.jobs ON jobs.key = workers.job_key
 WHERE jobs.owner = :owner
   AND jobs.state IN ('completed', 'completed_with_failures', 'cancelled')
