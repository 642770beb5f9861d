-- Return the turns of these conversations with all their columns, in order.
WITH requested (key) AS ({rows:bigint})
SELECT turns.conversation_key, turns.sequence, turns.id, turns.role, turns.content, turns.metadata{columns}
  FROM requested
 CROSS JOIN {schema}.turns
 WHERE turns.conversation_key = requested.key
 ORDER BY turns.conversation_key, turns.sequence
