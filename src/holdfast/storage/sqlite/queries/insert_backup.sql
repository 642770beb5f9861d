-- nothing → running
INSERT INTO backups (owner, id, state, reason, folder, keep_micros, created_at)
VALUES (:owner, :id, 'running', :reason, :folder, :keep, :now)
RETURNING key
