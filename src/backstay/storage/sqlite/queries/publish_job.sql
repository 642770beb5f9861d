-- creating → pending
UPDATE jobs
   SET id = :job_id, state = 'pending', processor = :processor, settings = :settings, recipe = :recipe,
       updated_at = :now,
       pending = (SELECT count(*) FROM items WHERE items.job_key = :job_key)
 WHERE key = :job_key
   AND owner = :owner
   AND state = 'creating'
   AND NOT EXISTS (SELECT 1 FROM jobs WHERE owner = :owner AND id = :job_id)
