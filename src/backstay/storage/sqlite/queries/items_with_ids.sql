-- Return the items of a job that have these ids.
WITH requested (id) AS ({rows:text})
SELECT items.id, items.digest, inputs.line
  FROM requested
 CROSS JOIN {schema}.items
  LEFT JOIN {schema}.item_inputs AS inputs ON inputs.job_key = items.job_key AND inputs.position = items.position
 WHERE items.job_key = :1
   AND items.id = requested.id
