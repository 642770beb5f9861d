-- Delete conversations, and their turns by cascade, except those that a trigger keeps.
WITH requested (key) AS ({rows:bigint})
DELETE FROM {schema}.conversations
 WHERE owner = :1
   AND key IN (SELECT key FROM requested)
RETURNING key
