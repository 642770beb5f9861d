-- Which of these ids does a job have already?
WITH wanted (id) AS ({rows:text})
SELECT found.id, found.digest, inputs.line
  FROM wanted
 CROSS JOIN LATERAL (SELECT position, id, digest
                       FROM {schema}.items
                      WHERE job_key = :1
                        AND id = wanted.id
                      LIMIT 1) AS found
  LEFT JOIN LATERAL (SELECT line
                       FROM {schema}.item_inputs
                      WHERE job_key = :1
                        AND position = found.position
                      LIMIT 1) AS inputs ON TRUE
