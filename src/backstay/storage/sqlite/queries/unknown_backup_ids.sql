-- Which of these names belong to no backup, whoever's?
SELECT value
  FROM json_each(:ids)
 WHERE NOT EXISTS (SELECT 1 FROM backups WHERE id = value AND removed_at IS NULL)
