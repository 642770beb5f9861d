-- List the triggers that an adoption created, with their tables.
SELECT format('%%I.%%I', nspname, relname), quote_ident(tgname)
  FROM pg_trigger
  JOIN pg_class ON pg_class.oid = tgrelid
  JOIN pg_namespace ON pg_namespace.oid = relnamespace
  JOIN pg_proc ON pg_proc.oid = tgfoid
 WHERE pronamespace = %s::regnamespace
   AND starts_with(proname, 'adopted_')
