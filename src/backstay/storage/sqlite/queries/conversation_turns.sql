-- Return the turns of these conversations, in order.
WITH requested (key) AS ({rows:bigint})
SELECT turns.conversation_key, turns.id, turns.role, turns.content, turns.metadata
  FROM requested
 CROSS JOIN {schema}.turns
 WHERE turns.conversation_key = requested.key
   AND turns.owner = :1
 ORDER BY turns.conversation_key, turns.sequence
