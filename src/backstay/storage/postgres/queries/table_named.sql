-- A table's schema and name; one of ours, or that is in the place of one, is known by that name alone.
SELECT nspname::text, relname::text, (SELECT name FROM {schema}.places WHERE place = pg_class.oid)
  FROM pg_class
  JOIN pg_namespace ON pg_namespace.oid = relnamespace
 WHERE pg_class.oid = :id::oid
