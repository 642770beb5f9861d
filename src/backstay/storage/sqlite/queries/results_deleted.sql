-- Completed items whose conversations were deleted keep that in mind.
WITH asked (owner, now) AS (VALUES (?1, ?2)),
     deleted (job_id, item_id, id) AS (VALUES {rows:3})
UPDATE items
   SET deleted_at = asked.now
  FROM asked, deleted
  JOIN jobs ON jobs.owner = asked.owner AND jobs.id = deleted.job_id
 WHERE items.job_key = jobs.key
   AND items.id = deleted.item_id
   AND items.conversation_id = deleted.id
   AND items.state = 'completed'
