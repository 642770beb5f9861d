-- Completed items of a job, whose conversations were deleted, were put back.
UPDATE {schema}.jobs
   SET completed = completed - :count, pending = pending + :count
 WHERE key = :job_key
   AND owner = :owner
