-- The tables of a user's own that are in the place of ours: where, which of their columns is which of the view's, and
-- whether the view was made for the columns that there are.
SELECT adopted.name, adopted.place::oid, pg_catalog.quote_ident(nspname) || '.' || pg_catalog.quote_ident(relname),
       columns, raw, stored IS NOT DISTINCT FROM {schema}.stored_columns(adopted.place)
  FROM {schema}.adopted
  JOIN pg_class ON pg_class.oid = adopted.place
  JOIN pg_namespace ON pg_namespace.oid = relnamespace
 ORDER BY adopted.name
