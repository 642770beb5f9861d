-- Where the selected conversations stand in the order of storing.
SELECT key
  FROM {schema}.conversations
 WHERE owner = :owner
   {selected}
 ORDER BY key
