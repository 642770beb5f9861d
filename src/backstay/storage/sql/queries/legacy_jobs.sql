-- Return the imported jobs that wait for a run, the latest first.
SELECT job_id, completed, failed, imported_at
  FROM {schema}.legacy_jobs
 WHERE owner = :owner
 ORDER BY imported_at DESC, job_id
