-- Forget the tries of pending items that an error common to all had taken.
WITH doomed (position) AS ({rows:bigint})
UPDATE {schema}.items
   SET tries = 0, available_at = 0
  FROM doomed
 WHERE items.job_key = :1
   AND items.position = doomed.position
   AND items.state = 'pending'
