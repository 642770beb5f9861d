-- Is this token still current? Asked first in every transaction that a worker writes in.
SELECT 1
  FROM workers
 WHERE token = :token
   AND owner = :owner
   AND job_key = :job_key
