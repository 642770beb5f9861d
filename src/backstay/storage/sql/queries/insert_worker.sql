-- Begin a lease; its key is its token.
INSERT INTO {schema}.workers (owner, job_key, host, boot_id, pid, lock_path, lock_device, lock_inode, started_at, committed_at)
VALUES (:owner, :job_key, :host, :boot_id, :pid, :lock_path, :lock_device, :lock_inode, :now, :now)
RETURNING token
