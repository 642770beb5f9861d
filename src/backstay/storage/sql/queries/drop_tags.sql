-- Remove tags from reviews.
WITH removed (conversation_key, tag) AS ({rows:bigint,text})
DELETE FROM {schema}.conversation_tags
 WHERE owner = :1
   AND (conversation_key, tag) IN (SELECT conversation_key, tag FROM removed)
