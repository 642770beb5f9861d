-- Return the turns of these conversations, in order.
WITH requested (key) AS ({rows:bigint})
SELECT conversation_key, id, role, content, metadata
  FROM requested
 CROSS JOIN LATERAL (SELECT *
                       FROM {schema}.turns
                      WHERE conversation_key = requested.key
                        AND owner = :1
                     OFFSET 0) AS stored
 ORDER BY conversation_key, sequence
