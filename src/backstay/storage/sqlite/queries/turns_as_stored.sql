-- Return the turns of these conversations with all their columns, in order.
WITH requested (conversation_key) AS ({rows:bigint})
SELECT turns.conversation_key, turns.sequence, turns.id, turns.role, turns.content, turns.metadata{columns}
  FROM requested
 CROSS JOIN turns ON turns.conversation_key = requested.conversation_key
 ORDER BY turns.conversation_key, turns.sequence
