-- The items that these conversations say they are results of, with what their results are now.
WITH asked (owner) AS (VALUES (?1)),
     wanted (job_id, item_id) AS (VALUES {rows:2})
SELECT jobs.id, items.id, jobs.key, items.position, items.state, items.conversation_id, items.deleted_at,
       jobs.created_at
  FROM asked
 CROSS JOIN wanted
  JOIN jobs ON jobs.owner = asked.owner AND jobs.id = wanted.job_id
  JOIN items ON items.job_key = jobs.key AND items.id = wanted.item_id
