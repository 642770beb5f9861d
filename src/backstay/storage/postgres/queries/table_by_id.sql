-- Return the schema and the name of a table, and our name for it if it is ours or adopted.
SELECT nspname::text, relname::text, (SELECT name FROM {schema}.places WHERE place = pg_class.oid)
  FROM pg_class
  JOIN pg_namespace ON pg_namespace.oid = relnamespace
 WHERE pg_class.oid = :id::oid
