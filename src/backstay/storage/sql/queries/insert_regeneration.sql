-- Record what a staged job regenerates.
INSERT INTO {schema}.regenerations (job_key, owner, source_job_key, source_job_id, backup_id)
VALUES (:job_key, :owner, :source_job_key, :source_job_id, :backup_id)
