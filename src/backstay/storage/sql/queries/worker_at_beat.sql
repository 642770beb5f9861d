-- Return and lock a worker, if it has not beaten since it was read. A worker that is writing, or that another process
-- is reclaiming, is skipped: if it froze, the server soon ends its transaction, and the next poll finds the worker.
SELECT job_key, stopping
  FROM {schema}.workers
 WHERE token = :token
   AND owner = :owner
   AND beat = :beat
   {lock:FOR UPDATE SKIP LOCKED}
