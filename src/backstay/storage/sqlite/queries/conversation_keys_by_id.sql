-- Return the keys of the conversations with these ids.
WITH requested (id) AS ({rows:text})
SELECT stored.key
  FROM requested
 CROSS JOIN {schema}.conversations AS stored
 WHERE stored.owner = :1
   AND stored.id = requested.id
