-- Where the next item of a job goes, less one.
SELECT coalesce(max(position), -1)
  FROM {schema}.items
 WHERE job_key = :job_key
   AND owner = :owner
