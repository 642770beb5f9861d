-- What would keep rows, of what is kept, from being put back as they were: a policy that holds for us, or a constraint that
-- those there need not meet; and what ends it.
SELECT kept.name, NULL AS constraint_name,
       CASE WHEN pg_has_role(current_user, relowner, 'USAGE')
            THEN format('ALTER TABLE %I.%I NO FORCE ROW LEVEL SECURITY', nspname, relname)
            ELSE format('ALTER ROLE %I BYPASSRLS', current_user) END AS remedy
  FROM {schema}.places AS kept
  JOIN pg_class ON pg_class.oid = kept.place
  JOIN pg_namespace ON pg_namespace.oid = relnamespace
 WHERE row_security_active(kept.place)
 UNION ALL
SELECT kept.name, conname,
       format('ALTER TABLE %I.%I VALIDATE CONSTRAINT %I', nspname, relname, conname)
  FROM {schema}.places AS kept
  JOIN pg_class ON pg_class.oid = kept.place
  JOIN pg_namespace ON pg_namespace.oid = relnamespace
  JOIN pg_constraint ON conrelid = kept.place
 WHERE NOT convalidated
   AND coalesce(to_jsonb(pg_constraint) ->> 'conenforced', 'true') = 'true'
