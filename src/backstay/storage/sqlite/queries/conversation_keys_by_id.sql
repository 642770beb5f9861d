-- Where conversations of these ids stand in the order of storing.
WITH asked (owner) AS (VALUES (:1)),
     wanted (id) AS ({rows:text})
SELECT stored.key
  FROM asked
 CROSS JOIN wanted
  JOIN conversations AS stored ON stored.owner = asked.owner AND stored.id = wanted.id
