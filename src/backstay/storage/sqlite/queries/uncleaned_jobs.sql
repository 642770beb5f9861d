-- Jobs completed without failures, whose inputs and attempts may go.
SELECT id
  FROM jobs
 WHERE owner = :owner
   AND state = 'completed'
   AND cleaned_at IS NULL
