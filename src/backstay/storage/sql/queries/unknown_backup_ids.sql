-- Which of these names belong to no backup of any owner?
WITH wanted (id) AS ({rows:text})
SELECT wanted.id
  FROM wanted
 WHERE NOT EXISTS (SELECT 1 FROM {schema}.backups WHERE backups.id = wanted.id AND removed_at IS NULL)
