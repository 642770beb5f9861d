-- Selected conversations, newest first, with the number of their turns.
SELECT id, topic, persona, job_id, item_id,
       (SELECT count(*) FROM turns WHERE turns.conversation_key = conversations.key),
       created_at, key
  FROM conversations
 WHERE owner = :owner
   AND key < :before
   {selected}
 ORDER BY key DESC
 LIMIT :limit
