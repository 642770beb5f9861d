-- What would keep rows, of what is kept, from being put back as they were: a policy that holds for us, or a constraint that
-- those there need not meet.
SELECT kept.name, NULL AS constraint_name
  FROM {schema}.places AS kept
 WHERE row_security_active(kept.place)
 UNION ALL
SELECT kept.name, conname
  FROM {schema}.places AS kept
  JOIN pg_constraint ON conrelid = kept.place
 WHERE NOT convalidated
   AND coalesce(to_jsonb(pg_constraint) ->> 'conenforced', 'true') = 'true'
