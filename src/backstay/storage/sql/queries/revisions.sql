-- Return the revisions of a job's recipe, in order.
SELECT number, fingerprint, recipe, created_at
  FROM {schema}.recipe_revisions
 WHERE job_key = :job_key
   AND owner = :owner
 ORDER BY number
