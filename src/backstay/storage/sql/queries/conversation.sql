-- Return one conversation by id.
SELECT key, id, topic, persona, content, metadata, job_id, item_id, created_at, updated_at
  FROM {schema}.conversations
 WHERE owner = :owner
   AND id = :id
