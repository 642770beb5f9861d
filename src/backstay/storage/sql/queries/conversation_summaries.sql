-- Return selected conversations, the newest first, each with its number of turns.
SELECT id, topic, persona, job_id, item_id,
       (SELECT count(*) FROM {schema}.turns WHERE turns.conversation_key = conversations.key),
       created_at, key
  FROM {schema}.conversations
 WHERE owner = :owner
   AND key < :before
   {selected}
 ORDER BY key DESC
 LIMIT :limit
