-- Forget the tries of pending items that an error common to all had taken.
WITH job (key) AS (VALUES (?1)),
     doomed (position) AS (VALUES {rows:1})
UPDATE items
   SET tries = 0, available_at = 0
  FROM job, doomed
 WHERE items.job_key = job.key
   AND items.position = doomed.position
   AND items.state = 'pending'
