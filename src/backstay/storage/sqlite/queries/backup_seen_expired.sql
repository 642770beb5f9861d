-- Record when a cleanup first found a backup expired, or that it is not.
UPDATE backups
   SET first_seen_expired_at = :seen_at
 WHERE key = :key
   AND owner = :owner
