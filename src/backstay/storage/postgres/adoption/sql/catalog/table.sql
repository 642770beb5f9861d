-- Find a table by its name: what it is, whether we own it, and whether it hides rows from its owner.
SELECT nspname::text, relname::text, relkind::text, relhassubclass OR relispartition,
       pg_has_role(current_user, relowner, 'USAGE'), relforcerowsecurity,
       quote_ident(pg_get_userbyid(relowner)), quote_ident(current_user)
  FROM pg_class
  JOIN pg_namespace ON pg_namespace.oid = relnamespace
 WHERE pg_class.oid = to_regclass(%s)
