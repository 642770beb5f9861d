-- Delete conversations, and their turns by cascade, except those that a trigger keeps.
WITH requested (key) AS ({rows:bigint})
DELETE FROM {schema}.conversations
 USING requested
 WHERE conversations.owner = :1
   AND conversations.key = requested.key
RETURNING conversations.key
