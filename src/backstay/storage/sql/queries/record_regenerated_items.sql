-- Count completed items of a job that are pending again, since their conversations were deleted.
UPDATE {schema}.jobs
   SET completed = completed - :count, pending = pending + :count
 WHERE key = :job_key
   AND owner = :owner
