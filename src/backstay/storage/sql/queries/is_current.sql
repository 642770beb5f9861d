-- Is this token still current? Asked by what only reads.
SELECT 1
  FROM {schema}.workers
 WHERE token = :token
   AND owner = :owner
   AND job_key = :job_key
