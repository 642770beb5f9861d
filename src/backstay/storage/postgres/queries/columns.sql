-- The columns of what is kept, by table in their order, with their types; computed ones are left out, and what a view over a
-- user's own table has beside them. Their names are null where that table is not as the view was made for it.
SELECT kept.name, attname, format_type(atttypid, atttypmod)
  FROM (VALUES ('conversations'), ('turns')) AS kept (name)
  JOIN pg_attribute ON attrelid = ('{schema}.' || kept.name)::regclass
  LEFT JOIN {schema}.adopted ON adopted.name = kept.name
 WHERE attnum > 0
   AND NOT attisdropped
   AND attgenerated = ''
   AND (adopted.name IS NULL
        OR attname NOT IN ('tableoid', 'ctid')
           AND NOT EXISTS (SELECT 1 FROM pg_catalog.jsonb_each_text(adopted.raw) AS raw WHERE raw.value = attname))
 UNION ALL
SELECT adopted.name, NULL, adopted.place::text
  FROM {schema}.adopted
 WHERE stored IS DISTINCT FROM {schema}.stored_columns(adopted.place)
