-- Return those of these ids that no conversation of this owner has.
WITH requested (id) AS ({rows:text})
SELECT requested.id
  FROM requested
 WHERE NOT EXISTS (SELECT 1 FROM {schema}.conversations WHERE owner = :1 AND conversations.id = requested.id)
