-- The items that these conversations say they are results of, with what their results are now.
WITH wanted (job_id, item_id) AS ({rows:text,text})
SELECT jobs.id, items.id, jobs.key, items.position, items.state, items.conversation_id, items.deleted_at,
       jobs.created_at
  FROM wanted
  JOIN {schema}.jobs ON jobs.owner = :1 AND jobs.id = wanted.job_id
  JOIN {schema}.items ON items.job_key = jobs.key AND items.id = wanted.item_id
