-- Which of these names belong to no backup, whoever's?
SELECT value
  FROM jsonb_array_elements_text(:ids::jsonb) AS value
 WHERE NOT EXISTS (SELECT 1 FROM {schema}.backups WHERE id = value AND removed_at IS NULL)
