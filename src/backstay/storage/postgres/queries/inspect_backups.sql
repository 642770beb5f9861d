-- Backups of one owner whose files are to be there, the latest first.
SELECT id, folder, host, file_bytes, file_sha256, damaged_at
  FROM {schema}.backups
 WHERE owner = :owner
   AND state IN ('verified', 'damaged')
 ORDER BY key DESC
