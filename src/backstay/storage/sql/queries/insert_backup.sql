-- nothing → running, or failed → running under the same id
INSERT INTO {schema}.backups (owner, id, state, reason, folder, host, keep_micros, created_at)
VALUES (:owner, :id, 'running', :reason, :folder, :host, :retention, :now)
    ON CONFLICT (owner, id) DO UPDATE
   SET state = 'running', reason = excluded.reason, folder = excluded.folder, host = excluded.host,
       keep_micros = excluded.keep_micros, created_at = excluded.created_at, error = NULL, expires_at = NULL,
       removed_at = NULL
 WHERE backups.state = 'failed'
RETURNING key
