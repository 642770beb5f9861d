-- List the adopted tables that exist, and whether each still has the columns that its view was generated for.
SELECT name, nspname::text, relname::text, stored IS NOT DISTINCT FROM {{ schema }}.stored_columns(user_table),
       obstacle, mapping ->> 'id'
  FROM {{ schema }}.adopted
  JOIN pg_class ON pg_class.oid = user_table
  JOIN pg_namespace ON pg_namespace.oid = relnamespace
 ORDER BY name
