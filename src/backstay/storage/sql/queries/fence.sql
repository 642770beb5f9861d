-- Check that this token is current, and keep it so until the transaction ends. First in every transaction in which a
-- worker writes: without the lock, the lease could be reclaimed between this check and the writes.
SELECT 1
  FROM {schema}.workers
 WHERE token = :token
   AND owner = :owner
   AND job_key = :job_key
   {lock:FOR UPDATE}
