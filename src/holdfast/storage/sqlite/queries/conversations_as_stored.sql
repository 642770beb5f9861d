-- Selected conversations with all their columns, in the order of storing.
SELECT key, id, topic, persona, content, metadata, job_id, item_id, created_at, updated_at{columns}
  FROM conversations
 WHERE owner = :owner
   {selected}
 ORDER BY key
