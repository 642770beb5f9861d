-- Allocate keys for so many new conversations, each with its id where the adopted table makes the ids, else NULL.
SELECT nextval('{schema}.conversations_key'), {schema}.new_id()
  FROM generate_series(1, :count)
