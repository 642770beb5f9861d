-- A cleanup found that a backup has expired, or that it has not.
UPDATE backups
   SET first_seen_expired_at = :seen_at
 WHERE key = :key
   AND owner = :owner
