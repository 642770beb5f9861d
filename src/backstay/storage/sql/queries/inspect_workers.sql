-- Return all leases of all owners.
SELECT jobs.owner, jobs.id, workers.host, workers.boot_id, workers.pid, workers.lock_path,
       workers.lock_device, workers.lock_inode
  FROM {schema}.workers
  JOIN {schema}.jobs ON jobs.key = workers.job_key
 WHERE jobs.id IS NOT NULL
 ORDER BY workers.token
