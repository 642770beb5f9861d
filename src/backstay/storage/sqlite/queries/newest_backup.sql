-- The backup that was made or verified last, of those that still exist.
SELECT id, max(created_at, coalesce(verified_at, 0)) AS made_at
  FROM backups
 WHERE owner = :owner
   AND state <> 'expired'
   AND removed_at IS NULL
 ORDER BY made_at DESC
 LIMIT 1
