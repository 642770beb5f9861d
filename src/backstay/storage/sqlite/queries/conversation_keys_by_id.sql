-- Return the keys of the conversations with these ids.
WITH fixed (owner) AS (VALUES (:1)),
     requested (id) AS ({rows:text})
SELECT stored.key
  FROM fixed
 CROSS JOIN requested
  JOIN conversations AS stored ON stored.owner = fixed.owner AND stored.id = requested.id
