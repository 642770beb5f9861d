-- The turns of these conversations, in order.
WITH wanted (key) AS ({rows:bigint})
SELECT conversation_key, id, role, content, metadata
  FROM wanted
 CROSS JOIN LATERAL (SELECT *
                       FROM {schema}.turns
                      WHERE conversation_key = wanted.key
                        AND owner = :1
                     OFFSET 0) AS found
 ORDER BY conversation_key, sequence
