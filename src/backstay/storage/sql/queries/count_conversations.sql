-- Return the number of selected conversations.
SELECT count(*)
  FROM {schema}.conversations
 WHERE owner = :owner
   {selected}
