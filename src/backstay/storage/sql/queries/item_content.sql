-- Return one item by id, with its input.
SELECT items.position, items.state, items.digest, items.original_digest IS NOT NULL, inputs.line, inputs.topic,
       inputs.persona, inputs.parameters
  FROM {schema}.items
  LEFT JOIN {schema}.item_inputs AS inputs ON inputs.job_key = items.job_key AND inputs.position = items.position
 WHERE items.job_key = :job_key
   AND items.owner = :owner
   AND items.id = :id
