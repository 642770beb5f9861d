-- Check that this token is current, for a transaction that only reads.
SELECT 1
  FROM {schema}.workers
 WHERE token = :token
   AND owner = :owner
   AND job_key = :job_key
