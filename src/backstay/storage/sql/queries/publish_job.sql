-- creating → pending
UPDATE {schema}.jobs
   SET id = :job_id, state = 'pending', processor = :processor, settings = :settings, recipe = :recipe,
       revision = :revision, updated_at = :now,
       pending = (SELECT count(*) FROM {schema}.items WHERE items.job_key = :job_key)
 WHERE key = :job_key
   AND owner = :owner
   AND state = 'creating'
   AND NOT EXISTS (SELECT 1 FROM {schema}.jobs AS others WHERE others.owner = :owner AND others.id = :job_id)
