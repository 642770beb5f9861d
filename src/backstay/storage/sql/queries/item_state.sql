-- Return the state and position of one item by id.
SELECT state, deleted_at, position
  FROM {schema}.items
 WHERE job_key = :job_key
   AND owner = :owner
   AND id = :id
