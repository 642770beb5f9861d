-- Failed items, each with the attempt that settled it.
SELECT items.position, items.id, inputs.topic, items.attempt, attempts.error_code, attempts.error_message,
       attempts.raw, attempts.ended_at, items.state, attempts.traceback
  FROM items INDEXED BY items_failed
  JOIN jobs ON jobs.key = items.job_key
  LEFT JOIN item_inputs AS inputs ON inputs.job_key = items.job_key AND inputs.position = items.position
  JOIN attempts ON attempts.job_key = items.job_key
               AND attempts.position = items.position
               AND attempts.number = items.attempt
 WHERE jobs.owner = :owner
   AND jobs.id = :job_id
   AND items.state = 'failed'
   AND items.position > :after
 ORDER BY items.position
 LIMIT :limit
