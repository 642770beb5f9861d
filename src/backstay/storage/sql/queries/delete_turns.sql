-- Delete turns of a conversation.
WITH removed (sequence) AS ({rows:integer})
DELETE FROM {schema}.turns
 WHERE conversation_key = :1
   AND owner = :2
   AND sequence IN (SELECT sequence FROM removed)
