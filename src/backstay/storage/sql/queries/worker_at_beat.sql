-- Return and lock a worker, if its beat is still the one that was read. One that is writing, or that another process is
-- reclaiming, is skipped: if it froze, the server soon ends its transaction, and the next poll finds it.
SELECT job_key, stopping
  FROM {schema}.workers
 WHERE token = :token
   AND owner = :owner
   AND beat = :beat
   {lock:FOR UPDATE SKIP LOCKED}
