-- Return the elements of such an array: the kind of the id, the id, and the error, both truncated if they are too
-- long.
SELECT jsonb_typeof(named.id), left(named.id #>> '{}', 1000), left(named.error #>> '{}', 2000)
  FROM {original} AS legacy
 CROSS JOIN LATERAL (SELECT CASE jsonb_typeof(value) WHEN 'string' THEN (value #>> '{}')::jsonb
                                                        WHEN 'null' THEN '[]'
                                                        ELSE coalesce(value, '[]')
                          END AS list
                     FROM (SELECT to_jsonb({column}) AS value) AS plain) AS parsed
 CROSS JOIN LATERAL jsonb_array_elements(parsed.list) AS element
 CROSS JOIN LATERAL (SELECT CASE jsonb_typeof(element)
                            WHEN 'object' THEN coalesce(nullif(element -> 'id', 'null'),
                                                        nullif(element -> 'itemId', 'null'),
                                                        nullif(element -> 'item_id', 'null'),
                                                        nullif(element -> 'item' -> 'id', 'null'))
                            ELSE element
                            END AS id,
                            coalesce(nullif(element -> 'error' -> 'message', 'null'),
                                     nullif(element -> 'error', 'null'),
                                     nullif(element -> 'errorMessage', 'null'),
                                     nullif(element -> 'error_message', 'null'),
                                     nullif(element -> 'message', 'null'),
                                     nullif(element -> 'reason', 'null')) AS error) AS named
 WHERE {key}::text = :key
