-- Return the keys of the conversations with these ids.
WITH requested (id) AS ({rows:text})
SELECT stored.key
  FROM requested
 CROSS JOIN LATERAL (SELECT key
                       FROM {schema}.conversations
                      WHERE owner = :1
                        AND id = requested.id
                     OFFSET 0) AS stored
