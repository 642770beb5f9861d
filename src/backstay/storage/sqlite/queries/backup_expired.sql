-- verified or failed → expired, unless somebody needs it
UPDATE backups
   SET state = 'expired', expires_at = coalesce(expires_at, :now)
 WHERE key = :key
   AND owner = :owner
   AND state IN ('verified', 'failed')
   AND pinned = 0
   AND deletion IS NOT 'deleting'
   AND (:early OR expires_at <= :now)
