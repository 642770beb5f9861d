-- waiting → nothing; its settled items go with it
DELETE FROM {schema}.legacy_jobs
 WHERE owner = :owner
   AND job_id = :job_id
