-- Return the jobs completed without failures whose inputs and attempts may be deleted.
SELECT id
  FROM {schema}.jobs
 WHERE owner = :owner
   AND state = 'completed'
   AND cleaned_at IS NULL
