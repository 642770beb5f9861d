-- Where conversations of these ids stand in the order of storing.
WITH wanted (id) AS ({rows:text})
SELECT found.key
  FROM wanted
 CROSS JOIN LATERAL (SELECT key
                       FROM {schema}.conversations
                      WHERE owner = :1
                        AND id = wanted.id
                     OFFSET 0) AS found
