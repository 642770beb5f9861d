-- Return the invisible jobs of an owner, each with its creator's lease.
SELECT jobs.key, workers.token, workers.beat, workers.host, workers.boot_id, workers.pid, workers.lock_path,
       workers.lock_device, workers.lock_inode
  FROM {schema}.jobs
  LEFT JOIN {schema}.workers ON workers.job_key = jobs.key
 WHERE jobs.owner = :owner
   AND jobs.state = 'creating'
