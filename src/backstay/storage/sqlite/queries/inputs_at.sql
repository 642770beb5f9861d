-- Return the inputs of the items at these positions.
WITH fixed (job_key) AS (VALUES (:1)),
     requested (position) AS ({rows:bigint})
SELECT inputs.position, inputs.topic, inputs.persona, inputs.parameters
  FROM fixed
 CROSS JOIN requested
  JOIN item_inputs AS inputs ON inputs.job_key = fixed.job_key AND inputs.position = requested.position
