-- verified or failed → expired, unless somebody needs it
UPDATE {schema}.backups
   SET state = 'expired', expires_at = coalesce(expires_at, :now)
 WHERE key = :key
   AND owner = :owner
   AND state IN ('verified', 'failed')
   AND NOT pinned
   AND deletion IS DISTINCT FROM 'deleting'
   AND (:early OR expires_at <= :now)
