-- Lock a job by id.
SELECT 1
  FROM {schema}.jobs
 WHERE owner = :owner
   AND id = :job_id
   FOR NO KEY UPDATE
