-- The turns of these conversations with all their columns, in order.
WITH wanted (conversation_key) AS ({rows:bigint})
SELECT turns.conversation_key, turns.sequence, turns.id, turns.role, turns.content, turns.metadata{columns}
  FROM wanted
 CROSS JOIN turns ON turns.conversation_key = wanted.conversation_key
 ORDER BY turns.conversation_key, turns.sequence
