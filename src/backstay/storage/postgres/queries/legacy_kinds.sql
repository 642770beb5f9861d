-- Return the kinds of values in a column of the original library, in the rows of one job: an array, perhaps as text, or
-- NULL is expected.
SELECT DISTINCT jsonb_typeof(parsed.list)
  FROM {original} AS legacy
 CROSS JOIN LATERAL (SELECT CASE jsonb_typeof(value) WHEN 'string' THEN (value #>> '{}')::jsonb
                                                        WHEN 'null' THEN '[]'
                                                        ELSE coalesce(value, '[]')
                          END AS list
                     FROM (SELECT to_jsonb({column}) AS value) AS plain) AS parsed
 WHERE {key}::text = :key
