-- The codes of failed items, each with whether an answer was kept for one of them.
SELECT attempts.error_code, max(attempts.raw IS NOT NULL)
  FROM items INDEXED BY items_failed
  JOIN attempts ON attempts.job_key = items.job_key
               AND attempts.position = items.position
               AND attempts.number = items.attempt
  JOIN jobs ON jobs.key = items.job_key
 WHERE jobs.key = :job_key
   AND jobs.owner = :owner
   AND items.state = 'failed'
 GROUP BY attempts.error_code
 ORDER BY attempts.error_code
