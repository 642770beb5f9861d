-- Return a version of a conversation that an edit replaced, as a backup holds it.
SELECT versions.line
  FROM {schema}.conversations
  JOIN {schema}.conversation_versions AS versions ON versions.conversation_key = conversations.key
 WHERE conversations.owner = :owner
   AND conversations.id = :id
   AND versions.owner = :owner
   AND versions.number = :number
