-- Return the columns of the original library's tables in a schema, and whether Backstay's own are there.
SELECT relname::text, attname::text,
       (SELECT count(*)
          FROM pg_class AS tables
         WHERE tables.relnamespace = pg_class.relnamespace
           AND tables.relname IN ('jobs', 'items', 'receipts', 'backup_items')) = 4
  FROM pg_class
  JOIN pg_namespace ON pg_namespace.oid = relnamespace
  JOIN pg_attribute ON attrelid = pg_class.oid
 WHERE nspname = :source
   AND relname IN ('batch_checkpoints', 'backup_exports')
   AND relkind IN ('r', 'p', 'v', 'm', 'f')
   AND attnum > 0
   AND NOT attisdropped
