-- Return the turns of these conversations with all their columns, in order.
WITH requested (conversation_key) AS ({rows:bigint})
SELECT stored.conversation_key, sequence, id, role, content, metadata{columns}
  FROM requested
 CROSS JOIN LATERAL (SELECT *
                       FROM {schema}.turns
                      WHERE conversation_key = requested.conversation_key
                     OFFSET 0) AS stored
 ORDER BY stored.conversation_key, sequence
