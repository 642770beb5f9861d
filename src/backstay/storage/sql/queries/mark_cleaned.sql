-- Record that the checkpoint of a job completed without failures is cleaned.
UPDATE {schema}.jobs
   SET cleaned_at = :now
 WHERE key = :job_key
   AND owner = :owner
   AND state = 'completed'
