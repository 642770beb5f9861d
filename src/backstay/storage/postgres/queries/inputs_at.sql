-- What the items at these positions were given.
SELECT position, topic, persona, parameters
  FROM {schema}.item_inputs
 WHERE job_key = :1
   AND position = ANY (:column0::bigint[])
