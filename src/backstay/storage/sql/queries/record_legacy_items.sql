-- Count a new job's items that the legacy library recorded as settled.
UPDATE {schema}.jobs
   SET pending = pending - :completed - :failed, completed = :completed, failed = :failed
 WHERE key = :job_key
   AND owner = :owner
