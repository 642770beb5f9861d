-- Nobody else moves the items that these conversations say they are results of.
WITH wanted (job_id, item_id) AS ({rows:text,text})
SELECT 1
  FROM wanted
  JOIN {schema}.jobs ON jobs.owner = :1 AND jobs.id = wanted.job_id
  JOIN {schema}.items ON items.job_key = jobs.key AND items.id = wanted.item_id
 ORDER BY items.job_key, items.position
   FOR UPDATE OF items
