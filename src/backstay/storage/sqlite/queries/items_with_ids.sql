-- Which of these ids does a job have already?
WITH asked (job_key) AS (VALUES (:1)),
     wanted (id) AS ({rows:text})
SELECT items.id, items.digest, item_inputs.line
  FROM asked
 CROSS JOIN wanted
  JOIN items ON items.job_key = asked.job_key AND items.id = wanted.id
  LEFT JOIN item_inputs ON item_inputs.job_key = items.job_key AND item_inputs.position = items.position
