-- Failed items of a job were put back.
UPDATE {schema}.jobs
   SET failed = failed - :count, pending = pending + :count
 WHERE key = :job_key
   AND owner = :owner
