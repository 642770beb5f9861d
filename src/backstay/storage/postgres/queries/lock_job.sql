-- Lock a job by key.
SELECT 1
  FROM {schema}.jobs
 WHERE key = :job_key
   AND owner = :owner
   FOR NO KEY UPDATE
