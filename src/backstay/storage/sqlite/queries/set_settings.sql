-- Limits of a job were given anew.
UPDATE jobs
   SET settings = :settings
 WHERE key = :job_key
   AND owner = :owner
