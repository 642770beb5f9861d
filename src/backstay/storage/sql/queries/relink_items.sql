-- any but running → completed: the restored conversation is the item's result again
WITH restored (job_key, position, id) AS ({rows:bigint,bigint,text})
UPDATE {schema}.items
   SET state = 'completed', conversation_id = restored.id, deleted_at = NULL, available_at = 0
  FROM restored
 WHERE items.job_key = restored.job_key
   AND items.position = restored.position
   AND items.state <> 'running'
