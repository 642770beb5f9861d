-- The turns of these conversations, in order.
WITH asked (owner) AS (VALUES (:1)),
     wanted (key) AS ({rows:bigint})
SELECT turns.conversation_key, turns.id, turns.role, turns.content, turns.metadata
  FROM asked
 CROSS JOIN wanted
  JOIN turns ON turns.conversation_key = wanted.key AND turns.owner = asked.owner
 ORDER BY turns.conversation_key, turns.sequence
