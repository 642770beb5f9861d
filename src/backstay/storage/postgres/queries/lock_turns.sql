-- Lock the turns of these conversations, whose rows are locked, so that no turn is added.
WITH requested (id) AS ({rows:text})
SELECT 1
  FROM requested
  JOIN {schema}.conversations ON conversations.owner = :1 AND conversations.id = requested.id
  JOIN {schema}.turns ON turns.conversation_key = conversations.key
 ORDER BY conversations.id, turns.sequence
   FOR UPDATE OF turns
