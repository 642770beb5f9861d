-- Selected conversations in the order of storing, each with the number of its turns.
SELECT id, topic, (SELECT count(*) FROM turns WHERE turns.conversation_key = conversations.key)
  FROM conversations
 WHERE owner = :owner
   {selected}
 ORDER BY key
