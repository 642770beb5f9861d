-- Where the selected conversations stand in the order of storing.
SELECT key
  FROM conversations
 WHERE owner = :owner
   {selected}
 ORDER BY key
