-- verified, damaged or failed → expired, unless the backup is pinned or an unfinished delete needs it; `:early` also
-- expires a damaged backup, from which a delete cannot be resumed
UPDATE {schema}.backups
   SET state = 'expired', expires_at = coalesce(expires_at, :now),
       deletion = CASE deletion WHEN 'deleting' THEN 'abandoned' ELSE deletion END
 WHERE key = :key
   AND owner = :owner
   AND state IN ('verified', 'damaged', 'failed')
   AND NOT pinned
   AND (deletion IS DISTINCT FROM 'deleting' OR (:early AND state = 'damaged'))
   AND (:early OR expires_at <= :now)
