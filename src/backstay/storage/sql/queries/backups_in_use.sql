-- Return the backups that are being written, and those whose delete is unfinished.
SELECT key, id, owner, state, reason, folder, host, conversations, turns, content_bytes, file_bytes, file_sha256,
       error, pinned, keep_micros, expires_at, first_seen_expired_at, created_at, verified_at, damaged_at, removed_at,
       deletion, deleted, changed, gone
  FROM {schema}.backups
 WHERE owner = :owner
   AND (state = 'running' OR deletion = 'deleting')
 ORDER BY key
