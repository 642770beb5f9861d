-- Return the number of a job's last failure; 0 if nothing failed.
SELECT coalesce(max(sequence), 0)
  FROM {schema}.failures
 WHERE job_key = :job_key
   AND owner = :owner
