-- Return the backup that was made or verified last, of those that still exist.
SELECT id, CASE WHEN verified_at > created_at THEN verified_at ELSE created_at END AS made_at
  FROM {schema}.backups
 WHERE owner = :owner
   AND state <> 'expired'
   AND removed_at IS NULL
 ORDER BY made_at DESC
 LIMIT 1
