-- Return the backups of an owner whose files should exist, the latest first.
SELECT id, folder, host, file_bytes, file_sha256, damaged_at, CASE WHEN verified_at > created_at THEN verified_at ELSE created_at END
  FROM {schema}.backups
 WHERE owner = :owner
   AND state IN ('verified', 'damaged')
 ORDER BY key DESC
