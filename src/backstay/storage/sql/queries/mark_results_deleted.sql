-- Record on completed items that their conversations were deleted.
WITH deleted (job_id, item_id, id) AS ({rows:text,text,text})
UPDATE {schema}.items
   SET deleted_at = :2
  FROM deleted
  JOIN {schema}.jobs ON jobs.owner = :1 AND jobs.id = deleted.job_id
 WHERE items.job_key = jobs.key
   AND items.id = deleted.item_id
   AND items.conversation_id = deleted.id
   AND items.state = 'completed'
