-- Return the attempts that led to a job's pause, the newest first.
SELECT items.position, items.id, inputs.topic, attempts.number, attempts.error_code, attempts.error_message,
       attempts.raw, attempts.ended_at, items.state, attempts.traceback
  FROM {schema}.jobs
 CROSS JOIN jsonb_array_elements(jobs.pause_evidence::jsonb) WITH ORDINALITY AS evidence (attempt, ordinal)
  JOIN {schema}.attempts ON attempts.job_key = jobs.key
               AND attempts.position = (evidence.attempt ->> 0)::bigint
               AND attempts.number = (evidence.attempt ->> 1)::integer
  JOIN {schema}.items ON items.job_key = jobs.key AND items.position = attempts.position
  LEFT JOIN {schema}.item_inputs AS inputs ON inputs.job_key = jobs.key AND inputs.position = attempts.position
 WHERE jobs.key = :job_key
   AND jobs.owner = :owner
 ORDER BY evidence.ordinal
