-- Return what is known to prevent new conversations of an owner from being stored: the obstacle recorded with the adoption;
-- and the user table, with the name and type of its column of owners if this owner does not fit it.
SELECT obstacle, concat(nspname, '.', relname), attname, format_type(atttypid, atttypmod)
  FROM {schema}.adopted
  LEFT JOIN pg_class ON pg_class.oid = user_table
  LEFT JOIN pg_namespace ON pg_namespace.oid = relnamespace
  LEFT JOIN pg_attribute ON attrelid = user_table
                        AND attnum = (column_numbers ->> (mapping ->> 'owner'))::integer
                        AND :owner::text !~ owner_pattern
 WHERE name = 'conversations'
