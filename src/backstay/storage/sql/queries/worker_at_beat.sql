-- A worker, if it has not beaten since it was looked at. One that is writing, or that somebody else is taking over, is
-- passed over: if it froze in the middle, the server ends its transaction soon, and whoever looks next finds it.
SELECT job_key, stopping
  FROM {schema}.workers
 WHERE token = :token
   AND owner = :owner
   AND beat = :beat
   {lock:FOR UPDATE SKIP LOCKED}
