-- Selected conversations, newest first, with the number of their turns.
SELECT id, topic, persona, job_id, item_id,
       (SELECT count(*) FROM {schema}.turns WHERE turns.conversation_key = conversations.key),
       created_at, key
  FROM {schema}.conversations
 WHERE owner = :owner
   AND key < :before
   {selected}
 ORDER BY key DESC
 LIMIT :limit
