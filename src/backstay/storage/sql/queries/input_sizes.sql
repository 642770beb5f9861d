-- Return the first inputs of a job that are rows, each with its size.
SELECT position, octet_length(topic) + coalesce(octet_length(persona), 0) + octet_length(parameters)
  FROM {schema}.item_inputs
 WHERE job_key = :job_key
   AND owner = :owner
 ORDER BY position
 LIMIT :limit
