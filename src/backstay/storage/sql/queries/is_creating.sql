-- Check that a job is invisible, so that it may be deleted.
SELECT 1
  FROM {schema}.jobs
 WHERE key = :job_key
   AND owner = :owner
   AND state = 'creating'
