-- Record when a cleanup first found a backup expired; NULL if the backup is not expired.
UPDATE {schema}.backups
   SET first_seen_expired_at = CAST(:seen_at AS bigint)
 WHERE key = :key
   AND owner = :owner
