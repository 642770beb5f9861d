-- The last number that an item's failing was given in a job; 0 where nothing failed.
SELECT coalesce(max(sequence), 0)
  FROM {schema}.failures
 WHERE job_key = :job_key
   AND owner = :owner
