-- Return one backup by id, and lock it.
SELECT key, id, owner, state, reason, folder, host, conversations, turns, content_bytes, file_bytes, file_sha256,
       error, pinned, keep_micros, expires_at, first_seen_expired_at, created_at, verified_at, damaged_at, removed_at,
       deletion, deleted, changed, gone
  FROM {schema}.backups
 WHERE owner = :owner
   AND id = :id
   {lock:FOR NO KEY UPDATE}
