-- creating → nothing
DELETE FROM jobs
 WHERE key = :job_key
   AND owner = :owner
   AND state = 'creating'
