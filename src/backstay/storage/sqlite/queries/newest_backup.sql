-- When a backup was last made or verified.
SELECT max(max(created_at, coalesce(verified_at, 0)))
  FROM backups
 WHERE owner = :owner
