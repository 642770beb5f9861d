-- failed → pending, the items that failed by an error common to all
WITH requested (position) AS ({rows:bigint})
UPDATE {schema}.items
   SET state = 'pending', tries = 0, available_at = 0
  FROM requested
 WHERE items.job_key = :1
   AND items.position = requested.position
   AND items.state = 'failed'
