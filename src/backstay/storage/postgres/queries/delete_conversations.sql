-- Conversations go, and their turns with them: those that no trigger keeps.
WITH wanted (key) AS ({rows:bigint})
DELETE FROM {schema}.conversations
 USING wanted
 WHERE conversations.owner = :1
   AND conversations.key = wanted.key
RETURNING conversations.key
