-- List the columns of a table, none if it does not exist; types and defaults with their schemas, domains with their base type.
SELECT attname::text, format_type(atttypid, atttypmod), format_type(atttypid, -1), base.name, base.category,
       attnotnull OR base.required,
       CASE WHEN attidentity <> '' THEN format('nextval(%%L::regclass)', pg_get_serial_sequence(%(table)s, attname))
            WHEN attgenerated = '' THEN pg_get_expr(adbin, adrelid) END,
       attgenerated <> '', attidentity = 'a'
  FROM pg_attribute
  LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
 CROSS JOIN LATERAL (
       WITH RECURSIVE under (oid, typtype, typbasetype, required) AS (
            SELECT pg_type.oid, typtype, typbasetype, typnotnull FROM pg_type WHERE pg_type.oid = atttypid
             UNION ALL
            SELECT pg_type.oid, pg_type.typtype, pg_type.typbasetype, under.required OR typnotnull
              FROM under JOIN pg_type ON pg_type.oid = under.typbasetype WHERE under.typtype = 'd')
       SELECT CASE under.typtype WHEN 'e' THEN 'enum' ELSE pg_type.typname::text END AS name,
              pg_type.typcategory::text AS category, under.required
         FROM under JOIN pg_type ON pg_type.oid = under.oid WHERE under.typtype <> 'd') AS base
 WHERE attrelid = to_regclass(%(table)s)
   AND attnum > 0
   AND NOT attisdropped
 ORDER BY attnum
