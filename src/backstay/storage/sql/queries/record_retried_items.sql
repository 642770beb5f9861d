-- Count failed items of a job that are pending again.
UPDATE {schema}.jobs
   SET failed = failed - :count, pending = pending + :count
 WHERE key = :job_key
   AND owner = :owner
