-- Return failed items, each with the attempt that settled it.
SELECT items.position, items.id, inputs.topic, items.attempt, attempts.error_code, attempts.error_message,
       attempts.raw, attempts.ended_at, items.state, attempts.traceback,
       items.state = 'failed' AND items.original_digest IS NOT NULL AND items.tries = 0 AND items.interruptions = 0
  FROM {schema}.items {indexed_by:items_failed}
  JOIN {schema}.jobs ON jobs.key = items.job_key
  LEFT JOIN {schema}.item_inputs AS inputs ON inputs.job_key = items.job_key AND inputs.position = items.position
  JOIN {schema}.attempts ON attempts.job_key = items.job_key
               AND attempts.position = items.position
               AND attempts.number = items.attempt
 WHERE jobs.key = :job_key
   AND jobs.owner = :owner
   AND items.state = 'failed'
   AND items.position > :after
 ORDER BY items.position
 LIMIT :limit
