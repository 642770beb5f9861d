-- Reset the tries of pending items that an error common to all had used up.
WITH requested (position) AS ({rows:bigint})
UPDATE {schema}.items
   SET tries = 0, available_at = 0
  FROM requested
 WHERE items.job_key = :1
   AND items.position = requested.position
   AND items.state = 'pending'
