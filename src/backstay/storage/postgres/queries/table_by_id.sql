-- Return the schema and the name of a table, and its name in Backstay if it is conversations or turns, or adopted as one of them.
SELECT nspname::text, relname::text, (SELECT name FROM {schema}.places WHERE place = pg_class.oid)
  FROM pg_class
  JOIN pg_namespace ON pg_namespace.oid = relnamespace
 WHERE pg_class.oid = :id::oid
