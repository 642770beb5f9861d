-- Count the items of a new job that were imported as settled.
UPDATE {schema}.jobs
   SET pending = pending - :completed - :failed, completed = :completed, failed = :failed
 WHERE key = :job_key
   AND owner = :owner
