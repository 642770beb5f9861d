-- Record when a cleanup first found a backup expired, or that it is not.
UPDATE {schema}.backups
   SET first_seen_expired_at = :seen_at::bigint
 WHERE key = :key
   AND owner = :owner
