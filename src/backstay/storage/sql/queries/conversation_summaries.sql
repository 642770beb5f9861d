-- Return selected conversations with keys in a range, the newest first, each with its number of turns.
SELECT id, topic, persona, job_id, item_id,
       (SELECT count(*) FROM {schema}.turns WHERE turns.conversation_key = conversations.key),
       created_at, key
  FROM {schema}.conversations
 WHERE owner = :owner
   AND key > :after
   AND key < :before
   {selected_in_range}
 ORDER BY key DESC
 LIMIT :limit
