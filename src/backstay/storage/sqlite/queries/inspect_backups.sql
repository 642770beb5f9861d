-- Backups of one owner whose files should exist, the latest first.
SELECT id, folder, host, file_bytes, file_sha256, damaged_at, max(created_at, coalesce(verified_at, 0))
  FROM backups
 WHERE owner = :owner
   AND state IN ('verified', 'damaged')
 ORDER BY key DESC
