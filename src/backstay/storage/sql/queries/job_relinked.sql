-- Items of a job were completed by restoring their results.
UPDATE {schema}.jobs
   SET pending = pending - :pending, failed = failed - :failed, skipped = skipped - :skipped,
       completed = completed + :pending + :failed + :skipped
 WHERE key = :job_key
   AND owner = :owner
