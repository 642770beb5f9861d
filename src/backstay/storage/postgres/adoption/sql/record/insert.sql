-- Record which user table is adopted, with which columns.
INSERT INTO {{ schema }}.adopted
       (name, place, asked, numbers, owner, made, stored, columns, raw, conversation_key, owner_pattern, hindered)
SELECT %(name)s, place, %(mapping)s,
       (SELECT pg_catalog.jsonb_object_agg(attname, attnum) FROM pg_attribute
         WHERE attrelid = place AND attnum > 0 AND NOT attisdropped),
       %(owner)s, %(digest)s, {{ schema }}.stored_columns(place), %(columns)s, %(raw)s, %(foreign_key)s,
       %(owner_pattern)s, %(obstacle)s
  FROM (SELECT %(table)s::regclass AS place) AS app
