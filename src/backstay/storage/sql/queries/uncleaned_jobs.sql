-- Return the jobs completed without failures whose attempts may be deleted and inputs compressed.
SELECT id
  FROM {schema}.jobs
 WHERE owner = :owner
   AND state = 'completed'
   AND cleaned_at IS NULL
