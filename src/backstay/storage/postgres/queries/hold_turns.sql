-- Nobody else changes the turns of these conversations, which are held, so that none comes to them.
WITH wanted (id) AS ({rows:text})
SELECT 1
  FROM wanted
  JOIN {schema}.conversations ON conversations.owner = :1 AND conversations.id = wanted.id
  JOIN {schema}.turns ON turns.conversation_key = conversations.key
 ORDER BY conversations.id, turns.sequence
   FOR UPDATE OF turns
