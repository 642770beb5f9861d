-- Which of these ids are no conversation of this owner?
SELECT value
  FROM jsonb_array_elements_text(:ids::jsonb) AS value
 WHERE NOT EXISTS (SELECT 1 FROM {schema}.conversations WHERE owner = :owner AND id = value)
 LIMIT :limit
