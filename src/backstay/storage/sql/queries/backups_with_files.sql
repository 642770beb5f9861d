-- Return the backups that may still have a file, for retention.
SELECT key, id, owner, state, reason, folder, host, conversations, turns, content_bytes, file_bytes, file_sha256,
       error, pinned, keep_micros, expires_at, first_seen_expired_at, created_at, verified_at, damaged_at, removed_at,
       deletion, deleted, changed, gone
  FROM {schema}.backups
 WHERE owner = :owner
   AND removed_at IS NULL
 ORDER BY key
