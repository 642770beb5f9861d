-- Return the recorded adoption, with the names that the table and its columns have now.
SELECT name, mapping, owner, digest, concat(nspname, '.', relname),
       (SELECT jsonb_object_agg(recorded.name, attname)
          FROM jsonb_each_text(column_numbers) AS recorded (name, number)
          JOIN pg_attribute ON attrelid = user_table AND attnum = recorded.number::integer AND NOT attisdropped)
  FROM {{ schema }}.adopted
  LEFT JOIN pg_class ON pg_class.oid = user_table
  LEFT JOIN pg_namespace ON pg_namespace.oid = relnamespace
