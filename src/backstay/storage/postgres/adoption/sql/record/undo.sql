-- List the adopted tables: the built-in name, whether the user table exists, and its name now or when it was adopted.
SELECT name, relname IS NOT NULL,
       CASE WHEN relname IS NULL THEN mapping ->> 'table' ELSE concat(nspname, '.', relname) END
  FROM {{ schema }}.adopted
  LEFT JOIN pg_class ON pg_class.oid = user_table
  LEFT JOIN pg_namespace ON pg_namespace.oid = relnamespace
 ORDER BY name
