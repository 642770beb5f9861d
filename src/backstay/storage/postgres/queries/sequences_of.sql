-- Return the columns of a table that get numbers from a sequence, each with its sequence.
SELECT attname::text, pg_catalog.pg_get_serial_sequence(:table, attname)
  FROM pg_attribute
 WHERE attrelid = pg_catalog.to_regclass(:table)
   AND attnum > 0
   AND NOT attisdropped
   AND pg_catalog.pg_get_serial_sequence(:table, attname) IS NOT NULL
