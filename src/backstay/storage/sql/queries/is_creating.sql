-- Is this job invisible, so that it may be removed?
SELECT 1
  FROM {schema}.jobs
 WHERE key = :job_key
   AND owner = :owner
   AND state = 'creating'
