-- A worker, if it has not beaten since it was looked at.
SELECT job_key, stopping
  FROM workers
 WHERE token = :token
   AND owner = :owner
   AND beat = :beat
