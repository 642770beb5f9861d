-- When a backup was last made or verified.
SELECT max(greatest(created_at, coalesce(verified_at, 0)))
  FROM {schema}.backups
 WHERE owner = :owner
