-- Return what would prevent deleted rows from being restored: row-level security that applies to us, or a constraint
-- that was never validated; each with the statement that removes it.
SELECT tables.name, NULL AS constraint_name,
       CASE WHEN pg_has_role(current_user, relowner, 'USAGE')
            THEN format('ALTER TABLE %I.%I NO FORCE ROW LEVEL SECURITY', nspname, relname)
            ELSE format('ALTER ROLE %I BYPASSRLS', current_user) END AS remedy
  FROM {schema}.places AS tables
  JOIN pg_class ON pg_class.oid = tables.place
  JOIN pg_namespace ON pg_namespace.oid = relnamespace
 WHERE row_security_active(tables.place)
 UNION ALL
SELECT tables.name, conname,
       format('ALTER TABLE %I.%I VALIDATE CONSTRAINT %I', nspname, relname, conname)
  FROM {schema}.places AS tables
  JOIN pg_class ON pg_class.oid = tables.place
  JOIN pg_namespace ON pg_namespace.oid = relnamespace
  JOIN pg_constraint ON conrelid = tables.place
 WHERE NOT convalidated
   AND coalesce(to_jsonb(pg_constraint) ->> 'conenforced', 'true') = 'true'
