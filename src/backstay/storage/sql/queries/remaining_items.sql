-- Return the items of a job that are not settled and, if requested, those that failed, with their inputs, in order.
SELECT items.position, items.id, items.state, items.digest, items.original_digest IS NOT NULL, inputs.line, inputs.topic,
       inputs.persona, inputs.parameters
  FROM {schema}.items
  JOIN {schema}.item_inputs AS inputs ON inputs.job_key = items.job_key AND inputs.position = items.position
 WHERE items.job_key = :job_key
   AND items.owner = :owner
   AND items.position > :after
   AND (items.state IN ('pending', 'running') OR (:with_failed AND items.state = 'failed'))
 ORDER BY items.position
 LIMIT :limit
