-- What so many new conversations are to be called; nulls where an id of ours will do.
SELECT {schema}.new_id()
  FROM generate_series(1, :count)
