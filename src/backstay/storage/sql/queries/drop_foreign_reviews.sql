-- Delete the reviews that a former owner gave to conversations, which an app has handed over since.
WITH requested (key) AS ({rows:bigint})
DELETE FROM {schema}.conversation_reviews
 WHERE owner <> :1
   AND conversation_key IN (SELECT key FROM requested)
