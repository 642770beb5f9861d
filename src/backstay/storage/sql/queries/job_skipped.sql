-- Pending and failed items of a job were skipped by the user.
UPDATE {schema}.jobs
   SET pending = pending - :pending, failed = failed - :failed, skipped = skipped + :pending + :failed
 WHERE key = :job_key
   AND owner = :owner
