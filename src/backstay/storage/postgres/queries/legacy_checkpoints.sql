-- Return the original library's jobs, each with the progress that its rows record.
SELECT {job_id}::text, array_agg({progress_percentage}::text)
  FROM {original} AS legacy
 GROUP BY 1
 ORDER BY 1
