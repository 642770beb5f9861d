-- Return selected conversations, the oldest first.
SELECT key, id, topic, persona, content, metadata, job_id, item_id, created_at, updated_at
  FROM {schema}.conversations
 WHERE owner = :owner
   AND key > :after
   {selected}
 ORDER BY key
 LIMIT :limit
