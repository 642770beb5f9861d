-- Return ids for so many new conversations, made by the adopted table; NULL where we make them.
SELECT {schema}.new_id()
  FROM generate_series(1, :count)
