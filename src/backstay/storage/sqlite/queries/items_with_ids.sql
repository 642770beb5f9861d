-- Return the items of a job that have these ids.
WITH fixed (job_key) AS (VALUES (:1)),
     requested (id) AS ({rows:text})
SELECT items.id, items.digest, item_inputs.line
  FROM fixed
 CROSS JOIN requested
  JOIN items ON items.job_key = fixed.job_key AND items.id = requested.id
  LEFT JOIN item_inputs ON item_inputs.job_key = items.job_key AND item_inputs.position = items.position
