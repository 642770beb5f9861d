-- Return the items of a job that have these ids.
WITH requested (id) AS ({rows:text})
SELECT stored.id, stored.digest, inputs.line
  FROM requested
 CROSS JOIN LATERAL (SELECT position, id, digest
                       FROM {schema}.items
                      WHERE job_key = :1
                        AND id = requested.id
                      LIMIT 1) AS stored
  LEFT JOIN LATERAL (SELECT line
                       FROM {schema}.item_inputs
                      WHERE job_key = :1
                        AND position = stored.position
                      LIMIT 1) AS inputs ON TRUE
