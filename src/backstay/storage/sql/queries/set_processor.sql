-- Set the processor, the settings and the recipe of an imported job.
UPDATE {schema}.jobs
   SET processor = :processor, settings = :settings, recipe = :recipe
 WHERE key = :job_key
   AND owner = :owner
