-- Return the turns of these conversations, in order.
WITH fixed (owner) AS (VALUES (:1)),
     requested (key) AS ({rows:bigint})
SELECT turns.conversation_key, turns.id, turns.role, turns.content, turns.metadata
  FROM fixed
 CROSS JOIN requested
  JOIN turns ON turns.conversation_key = requested.key AND turns.owner = fixed.owner
 ORDER BY turns.conversation_key, turns.sequence
