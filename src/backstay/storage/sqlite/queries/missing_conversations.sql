-- Which of these ids are no conversation of this owner?
SELECT value
  FROM json_each(:ids)
 WHERE NOT EXISTS (SELECT 1 FROM conversations WHERE owner = :owner AND id = value)
 LIMIT :limit
