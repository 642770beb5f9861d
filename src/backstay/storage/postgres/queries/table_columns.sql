-- Return the stored columns of a table in their order: type, type without its length, whether it is NOT NULL,
-- default, position in the primary key.
SELECT attname::text, pg_catalog.format_type(atttypid, atttypmod), pg_catalog.format_type(atttypid, -1), attnotnull,
       pg_catalog.pg_get_expr(adbin, adrelid),
       (SELECT pg_catalog.array_position(indkey::smallint[], attnum)
          FROM pg_index WHERE indrelid = attrelid AND indisprimary)
  FROM pg_attribute
  LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
 WHERE attrelid = pg_catalog.to_regclass(:table)
   AND attnum > 0
   AND NOT attisdropped
   AND attgenerated = ''
 ORDER BY attnum
