-- Return those of these ids that no backup of any owner has.
WITH requested (id) AS ({rows:text})
SELECT requested.id
  FROM requested
 WHERE NOT EXISTS (SELECT 1 FROM {schema}.backups WHERE backups.id = requested.id AND removed_at IS NULL)
