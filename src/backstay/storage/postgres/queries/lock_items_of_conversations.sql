-- Lock the items that these conversations are results of.
WITH requested (job_id, item_id) AS ({rows:text,text})
SELECT 1
  FROM requested
  JOIN {schema}.jobs ON jobs.owner = :1 AND jobs.id = requested.job_id
  JOIN {schema}.items ON items.job_key = jobs.key AND items.id = requested.item_id
 ORDER BY items.job_key, items.position
   FOR UPDATE OF items
