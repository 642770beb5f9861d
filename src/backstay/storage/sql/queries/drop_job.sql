-- creating → nothing
DELETE FROM {schema}.jobs
 WHERE key = :job_key
   AND owner = :owner
   AND state = 'creating'
