-- List the adopted tables that exist, and whether each still has the columns that its view was generated for.
SELECT name, nspname::text, relname::text, stored IS NOT DISTINCT FROM {{ schema }}.stored_columns(place),
       hindered, asked ->> 'id'
  FROM {{ schema }}.adopted
  JOIN pg_class ON pg_class.oid = place
  JOIN pg_namespace ON pg_namespace.oid = relnamespace
 ORDER BY name
