-- Set the recipe of a job, a revision of the one before.
UPDATE {schema}.jobs
   SET recipe = :recipe, processor = :model, revision = :number, updated_at = :now
 WHERE key = :job_key
   AND owner = :owner
