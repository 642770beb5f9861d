-- List the roles of Supabase that the server has.
SELECT rolname::text
  FROM pg_roles
 WHERE rolname IN ('anon', 'authenticated', 'service_role')
 ORDER BY rolname
