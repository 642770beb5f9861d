-- What a column of the original's holds, in the rows of one name: an array is expected, perhaps as text, or nothing.
SELECT DISTINCT jsonb_typeof(told.list)
  FROM {original} AS kept
 CROSS JOIN LATERAL (SELECT CASE jsonb_typeof(said) WHEN 'string' THEN (said #>> '{}')::jsonb
                                                        WHEN 'null' THEN '[]'
                                                        ELSE coalesce(said, '[]')
                          END AS list
                     FROM (SELECT to_jsonb({column}) AS said) AS plain) AS told
 WHERE {key}::text = :key
