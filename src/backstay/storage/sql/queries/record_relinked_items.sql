-- Count items of a job that are completed again, since their results were restored.
UPDATE {schema}.jobs
   SET pending = pending - :pending, failed = failed - :failed, skipped = skipped - :skipped,
       completed = completed + :pending + :failed + :skipped
 WHERE key = :job_key
   AND owner = :owner
