-- The views as the design with one row a job, and one a backup, has them: an id is a UUID, and progress is what is completed.

DROP VIEW batch_checkpoints;

CREATE VIEW batch_checkpoints AS
SELECT printf('00000000-0000-4000-8000-%012x', jobs.key)             AS id,
       jobs.id                                                       AS job_id,
       (SELECT json_group_array(id)
          FROM (SELECT items.id FROM items
                 WHERE items.job_key = jobs.key AND items.state = 'completed' ORDER BY items.position))
                                                                     AS completed_items,
       (SELECT json_group_array(id)
          FROM (SELECT items.id FROM items
                 WHERE items.job_key = jobs.key AND items.state = 'failed' ORDER BY items.position))
                                                                     AS failed_items,
       (SELECT CAST(100 * (jobs.completed + total(moved.completed))
                    / max(1, jobs.pending + jobs.running + jobs.completed + jobs.failed + jobs.skipped
                             + total(moved.planned)) AS INTEGER)
          FROM (SELECT completed,
                       pending + running + completed + failed + skipped AS planned
                  FROM workers WHERE workers.job_key = jobs.key) AS moved)
                                                                     AS progress_percentage,
       strftime('%Y-%m-%dT%H:%M:%fZ', max(jobs.updated_at,
           coalesce((SELECT max(committed_at) FROM workers WHERE workers.job_key = jobs.key), 0)) / 1e6, 'unixepoch')
                                                                     AS last_checkpoint_at,
       strftime('%Y-%m-%dT%H:%M:%fZ', jobs.created_at / 1e6, 'unixepoch')
                                                                     AS created_at,
       strftime('%Y-%m-%dT%H:%M:%fZ', jobs.updated_at / 1e6, 'unixepoch')
                                                                     AS updated_at,
       jobs.owner                                                    AS owner
  FROM jobs
 WHERE jobs.state <> 'creating'
   AND jobs.cleaned_at IS NULL;

DROP VIEW backup_exports;

CREATE VIEW backup_exports AS
SELECT printf('00000000-0000-4000-8000-%012x', backups.key)          AS id,
       backups.id                                                    AS backup_id,
       backups.owner                                                 AS user_id,
       '/backups/' || backups.id || '.json'                          AS file_path,
       (SELECT json_group_array(id)
          FROM (SELECT backup_items.id FROM backup_items
                 WHERE backup_items.backup_key = backups.key ORDER BY backup_items.position))
                                                                     AS conversation_ids,
       backups.reason                                                AS backup_reason,
       strftime('%Y-%m-%dT%H:%M:%fZ', backups.expires_at / 1e6, 'unixepoch')
                                                                     AS expires_at,
       strftime('%Y-%m-%dT%H:%M:%fZ', backups.created_at / 1e6, 'unixepoch')
                                                                     AS created_at
  FROM backups
 WHERE backups.state = 'verified';
