-- Return the positions and digests of the items that `remaining_items` returns, in order.
SELECT position, digest
  FROM {schema}.items
 WHERE job_key = :job_key
   AND owner = :owner
   AND (state IN ('pending', 'running') OR (:with_failed AND state = 'failed'))
 ORDER BY position
