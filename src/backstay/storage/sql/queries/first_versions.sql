-- Return these conversations as they were first stored, by id, if they were edited since.
WITH requested (id) AS ({rows:text})
SELECT conversations.id, versions.line
  FROM requested
 CROSS JOIN {schema}.conversations
  JOIN {schema}.conversation_versions AS versions ON versions.conversation_key = conversations.key
 WHERE conversations.owner = :1
   AND conversations.id = requested.id
   AND versions.owner = :1
   AND versions.number = 1
