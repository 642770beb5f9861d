-- Return the state of one item by id.
SELECT state, deleted_at
  FROM {schema}.items
 WHERE job_key = :job_key
   AND owner = :owner
   AND id = :id
