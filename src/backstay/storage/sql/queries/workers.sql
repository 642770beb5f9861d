-- Return the leases on a job.
SELECT workers.token, workers.beat, workers.host, workers.boot_id, workers.pid, workers.lock_path,
       workers.lock_device, workers.lock_inode
  FROM {schema}.workers
  JOIN {schema}.jobs ON jobs.key = workers.job_key
 WHERE jobs.owner = :owner
   AND jobs.id = :job_id
 ORDER BY workers.token
