-- Return the items of a job that are not among the staged ones.
SELECT stored.id
  FROM {schema}.items AS stored
 WHERE stored.job_key = :job_key
   AND NOT EXISTS (SELECT 1 FROM {schema}.items AS staged WHERE staged.job_key = :staged AND staged.id = stored.id)
 ORDER BY stored.position
