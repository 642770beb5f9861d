-- Return which of some conversations, by their ids, are still selected. Ordered by id, so that SQLite finds them by it.
SELECT key, id
  FROM {schema}.conversations
 WHERE owner = :owner
   {selected}
 ORDER BY id
