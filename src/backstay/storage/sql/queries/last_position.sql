-- Return the position of a job's last item; -1 if it has none.
SELECT coalesce(max(position), -1)
  FROM {schema}.items
 WHERE job_key = :job_key
   AND owner = :owner
