-- Return the error codes of a job's failed items, each with whether an answer is stored for one of them.
SELECT attempts.error_code, count(attempts.raw) > 0
  FROM {schema}.items {indexed_by:items_failed}
  JOIN {schema}.attempts ON attempts.job_key = items.job_key
               AND attempts.position = items.position
               AND attempts.number = items.attempt
  JOIN {schema}.jobs ON jobs.key = items.job_key
 WHERE jobs.key = :job_key
   AND jobs.owner = :owner
   AND items.state = 'failed'
 GROUP BY attempts.error_code
 ORDER BY attempts.error_code
