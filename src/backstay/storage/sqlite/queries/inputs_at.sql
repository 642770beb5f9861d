-- What the items at these positions were given.
WITH asked (job_key) AS (VALUES (:1)),
     wanted (position) AS ({rows:bigint})
SELECT inputs.position, inputs.topic, inputs.persona, inputs.parameters
  FROM asked
 CROSS JOIN wanted
  JOIN item_inputs AS inputs ON inputs.job_key = asked.job_key AND inputs.position = wanted.position
