-- List the functions that an adoption created, and whether the triggers of its views call them.
SELECT pg_proc.oid::regprocedure::text, proname ~ '^adopted_(conversations|turns)_(insert|update|delete)$'
  FROM pg_proc
 WHERE pronamespace = %s::regnamespace
   AND starts_with(proname, 'adopted_')
 ORDER BY 1
