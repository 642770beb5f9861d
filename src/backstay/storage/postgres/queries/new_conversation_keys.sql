-- Places in the order of storing for so many new conversations, and what they are to be called where an id of ours is none.
SELECT nextval('{schema}.conversations_key'), {schema}.new_id()
  FROM generate_series(1, :count)
