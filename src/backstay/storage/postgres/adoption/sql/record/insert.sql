-- Record which user table is adopted, with which columns.
INSERT INTO {{ schema }}.adopted
       (name, user_table, mapping, column_numbers, owner, digest, stored, columns, raw, conversation_key, owner_pattern,
        obstacle)
SELECT %(name)s, app.oid, %(mapping)s,
       (SELECT pg_catalog.jsonb_object_agg(attname, attnum) FROM pg_attribute
         WHERE attrelid = app.oid AND attnum > 0 AND NOT attisdropped),
       %(owner)s, %(digest)s, {{ schema }}.stored_columns(app.oid), %(columns)s, %(raw)s, %(foreign_key)s,
       %(owner_pattern)s, %(obstacle)s
  FROM (SELECT %(table)s::regclass AS oid) AS app
