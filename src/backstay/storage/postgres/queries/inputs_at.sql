-- Return the inputs of the items at these positions.
SELECT position, topic, persona, parameters, line
  FROM {schema}.item_inputs
 WHERE job_key = :1
   AND position = ANY (:column0::bigint[])
