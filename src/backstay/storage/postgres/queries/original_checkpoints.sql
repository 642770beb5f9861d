-- The original's jobs, each with what its rows say of how far it has come.
SELECT {job_id}::text, array_agg({progress_percentage}::text)
  FROM {original} AS kept
 GROUP BY 1
 ORDER BY 1
