-- Return the tags of these conversations, in alphabetical order.
WITH requested (key) AS ({rows:bigint})
SELECT tags.conversation_key, tags.tag
  FROM requested
  JOIN {schema}.conversation_tags AS tags ON tags.conversation_key = requested.key
 ORDER BY tags.conversation_key, tags.tag
