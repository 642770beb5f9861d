-- Set the settings of a job.
UPDATE {schema}.jobs
   SET settings = :settings
 WHERE key = :job_key
   AND owner = :owner
