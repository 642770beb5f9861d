-- Return the user's tables that are adopted: where each is, which of its columns is which column of our view, and
-- whether it still has the columns that the view was made for.
SELECT adopted.name, adopted.user_table::oid, pg_catalog.quote_ident(nspname) || '.' || pg_catalog.quote_ident(relname),
       columns, raw, stored IS NOT DISTINCT FROM {schema}.stored_columns(adopted.user_table)
  FROM {schema}.adopted
  JOIN pg_class ON pg_class.oid = adopted.user_table
  JOIN pg_namespace ON pg_namespace.oid = relnamespace
 ORDER BY adopted.name
