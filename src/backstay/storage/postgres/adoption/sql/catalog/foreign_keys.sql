-- List the enforced foreign keys from one table to another: whether deletes cascade, and the columns of both sides.
SELECT conname::text, confdeltype = 'c',
       ARRAY(SELECT attname::text FROM unnest(conkey) WITH ORDINALITY AS at (number, place)
               JOIN pg_attribute ON attrelid = conrelid AND attnum = at.number ORDER BY place),
       ARRAY(SELECT attname::text FROM unnest(confkey) WITH ORDINALITY AS at (number, place)
               JOIN pg_attribute ON attrelid = confrelid AND attnum = at.number ORDER BY place)
  FROM pg_constraint
 WHERE contype = 'f'
   AND conrelid = %s::regclass
   AND confrelid = %s::regclass
   AND coalesce(to_jsonb(pg_constraint) ->> 'conenforced', 'true') = 'true'
 ORDER BY conname
