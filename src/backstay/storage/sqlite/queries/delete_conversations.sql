-- Conversations go, and their turns with them: those that no trigger keeps.
WITH asked (owner) AS (VALUES (:1)),
     wanted (key) AS ({rows:bigint})
DELETE FROM conversations
 WHERE owner = (SELECT owner FROM asked)
   AND key IN (SELECT key FROM wanted)
RETURNING key
