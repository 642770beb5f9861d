-- waiting → nothing; its settled items are deleted with it
DELETE FROM {schema}.legacy_jobs
 WHERE owner = :owner
   AND job_id = :job_id
