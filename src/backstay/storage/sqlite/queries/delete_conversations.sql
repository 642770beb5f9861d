-- Delete conversations, and their turns by cascade, except those that a trigger keeps.
WITH fixed (owner) AS (VALUES (:1)),
     requested (key) AS ({rows:bigint})
DELETE FROM conversations
 WHERE owner = (SELECT owner FROM fixed)
   AND key IN (SELECT key FROM requested)
RETURNING key
