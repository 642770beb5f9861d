-- The turns of these conversations with all their columns, in order.
WITH wanted (conversation_key) AS ({rows:bigint})
SELECT found.conversation_key, sequence, id, role, content, metadata{columns}
  FROM wanted
 CROSS JOIN LATERAL (SELECT *
                       FROM {schema}.turns
                      WHERE conversation_key = wanted.conversation_key
                     OFFSET 0) AS found
 ORDER BY found.conversation_key, sequence
