-- Return the inputs of the items at these positions.
WITH requested (position) AS ({rows:bigint})
SELECT inputs.position, inputs.topic, inputs.persona, inputs.parameters, inputs.line
  FROM requested
 CROSS JOIN {schema}.item_inputs AS inputs
 WHERE inputs.job_key = :1
   AND inputs.position = requested.position
