-- Return the attempts that led to a job's pause, the newest first.
SELECT items.position, items.id, inputs.topic, attempts.number, attempts.error_code, attempts.error_message,
       attempts.raw, attempts.ended_at, items.state, attempts.traceback
  FROM {schema}.jobs
 CROSS JOIN json_each(jobs.pause_evidence) AS evidence
  JOIN {schema}.attempts ON attempts.job_key = jobs.key
               AND attempts.position = json_extract(evidence.value, '$[0]')
               AND attempts.number = json_extract(evidence.value, '$[1]')
  JOIN {schema}.items ON items.job_key = jobs.key AND items.position = attempts.position
  LEFT JOIN {schema}.item_inputs AS inputs ON inputs.job_key = jobs.key AND inputs.position = attempts.position
 WHERE jobs.key = :job_key
   AND jobs.owner = :owner
 ORDER BY evidence.key
