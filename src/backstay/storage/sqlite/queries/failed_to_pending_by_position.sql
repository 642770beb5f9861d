-- failed → pending, those that an error common to all had failed
WITH job (key) AS (VALUES (?1)),
     doomed (position) AS (VALUES {rows:1})
UPDATE items
   SET state = 'pending', tries = 0, available_at = 0
  FROM job, doomed
 WHERE items.job_key = job.key
   AND items.position = doomed.position
   AND items.state = 'failed'
