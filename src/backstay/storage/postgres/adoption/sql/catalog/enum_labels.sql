-- List the values that an enum column allows.
SELECT enumlabel::text
  FROM pg_enum
  JOIN pg_attribute ON atttypid = enumtypid
 WHERE attrelid = %s::regclass
   AND attname = %s
