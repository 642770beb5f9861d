-- Record that a job has inputs as rows again.
UPDATE {schema}.jobs
   SET cleaned_at = NULL
 WHERE key = :job_key
   AND owner = :owner
