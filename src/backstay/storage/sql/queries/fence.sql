-- Is this token still current, and does it stay so until we are done? Asked first in every transaction that a worker
-- writes in: without the lock, a takeover could come between this answer and the writes.
SELECT 1
  FROM {schema}.workers
 WHERE token = :token
   AND owner = :owner
   AND job_key = :job_key
   {lock:FOR UPDATE}
