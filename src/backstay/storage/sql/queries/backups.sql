-- Return backups, the latest first; those without a file only if all are requested.
SELECT key, id, owner, state, reason, folder, host, conversations, turns, content_bytes, file_bytes, file_sha256,
       error, pinned, keep_micros, expires_at, first_seen_expired_at, created_at, verified_at, damaged_at, removed_at,
       deletion, deleted, changed, gone
  FROM {schema}.backups
 WHERE owner = :owner
   AND (:include_removed OR state IN ('running', 'verified', 'damaged') OR (state = 'failed' AND removed_at IS NULL))
   AND key < :before
 ORDER BY key DESC
 LIMIT :limit
