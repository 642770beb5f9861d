-- Count pending and failed items of a job that the user skipped.
UPDATE {schema}.jobs
   SET pending = pending - :pending, failed = failed - :failed, skipped = skipped + :pending + :failed
 WHERE key = :job_key
   AND owner = :owner
