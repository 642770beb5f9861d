-- Delete the reviews of conversations, and their tags by cascade.
WITH requested (key) AS ({rows:bigint})
DELETE FROM {schema}.conversation_reviews
 WHERE owner = :1
   AND conversation_key IN (SELECT key FROM requested)
