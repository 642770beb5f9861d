-- Return the user's triggers that a delete fires on the first tables, or an update on the others.
SELECT tgname::text, tgrelid
  FROM pg_trigger
  JOIN pg_proc ON pg_proc.oid = tgfoid
 WHERE NOT tgisinternal
   AND tgenabled <> 'D'
   AND (tgrelid = ANY (:deleting::oid[]) AND tgtype & 8 <> 0 OR tgrelid = ANY (:changing::oid[]) AND tgtype & 16 <> 0)
   AND NOT (pronamespace = '{schema}'::regnamespace AND (pg_catalog.starts_with(proname, 'adopted_')
                                                               OR pg_catalog.starts_with(proname, 'unindex_')))
 ORDER BY tgrelid::regclass::text, tgname
