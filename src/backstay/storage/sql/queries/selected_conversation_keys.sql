-- Return the keys of the selected conversations, in order.
SELECT key
  FROM {schema}.conversations
 WHERE owner = :owner
   {selected}
 ORDER BY key
