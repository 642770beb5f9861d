-- Which of these ids are no conversation of this owner?
WITH wanted (id) AS ({rows:text})
SELECT wanted.id
  FROM wanted
 WHERE NOT EXISTS (SELECT 1 FROM {schema}.conversations WHERE owner = :1 AND conversations.id = wanted.id)
