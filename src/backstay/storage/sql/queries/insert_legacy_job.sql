-- nothing → waiting
INSERT INTO {schema}.legacy_jobs (owner, job_id, completed, failed, imported_at)
VALUES (:owner, :job_id, :completed, :failed, :now)
