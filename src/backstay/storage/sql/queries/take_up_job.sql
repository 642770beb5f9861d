-- What makes the conversations of a job that was taken over.
UPDATE {schema}.jobs
   SET processor = :processor, settings = :settings, recipe = :recipe
 WHERE key = :job_key
   AND owner = :owner
