-- Return the items that resulted in these conversations, each with its present result.
WITH requested (job_id, item_id) AS ({rows:text,text})
SELECT jobs.id, items.id, jobs.key, items.position, items.state, items.conversation_id, items.deleted_at,
       jobs.created_at
  FROM requested
  JOIN {schema}.jobs ON jobs.owner = :1 AND jobs.id = requested.job_id
  JOIN {schema}.items ON items.job_key = jobs.key AND items.id = requested.item_id
