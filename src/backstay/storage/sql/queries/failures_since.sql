-- Return a job's failures after a given one, in commit order, each with the attempt that settled the item.
SELECT failures.sequence, failures.position, items.id, inputs.topic, failures.attempt, attempts.error_code,
       attempts.error_message, attempts.ended_at
  FROM {schema}.failures
  JOIN {schema}.items ON items.job_key = failures.job_key AND items.position = failures.position
  JOIN {schema}.attempts ON attempts.job_key = failures.job_key
               AND attempts.position = failures.position
               AND attempts.number = failures.attempt
  LEFT JOIN {schema}.item_inputs AS inputs ON inputs.job_key = failures.job_key AND inputs.position = failures.position
 WHERE failures.job_key = :job_key
   AND failures.owner = :owner
   AND failures.sequence > :after
 ORDER BY failures.sequence
 LIMIT :limit
