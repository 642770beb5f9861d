-- Nobody else moves the job of this name.
SELECT 1
  FROM {schema}.jobs
 WHERE owner = :owner
   AND id = :job_id
   FOR NO KEY UPDATE
