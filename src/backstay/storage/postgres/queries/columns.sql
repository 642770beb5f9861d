-- Return the stored columns of conversations and turns with their types, without generated columns and without those
-- that only a view over an adopted table has. A column name is NULL where the adopted table has changed since the
-- view was made.
SELECT tables.name, attname, format_type(atttypid, atttypmod)
  FROM (VALUES ('conversations'), ('turns')) AS tables (name)
  JOIN pg_attribute ON attrelid = ('{schema}.' || tables.name)::regclass
  LEFT JOIN {schema}.adopted ON adopted.name = tables.name
 WHERE attnum > 0
   AND NOT attisdropped
   AND attgenerated = ''
   AND (adopted.name IS NULL
        OR attname NOT IN ('tableoid', 'ctid')
           AND NOT EXISTS (SELECT 1 FROM pg_catalog.jsonb_each_text(adopted.raw) AS raw WHERE raw.value = attname))
 UNION ALL
SELECT adopted.name, NULL, adopted.user_table::text
  FROM {schema}.adopted
 WHERE stored IS DISTINCT FROM {schema}.stored_columns(adopted.user_table)
