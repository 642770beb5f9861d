-- How many conversations are selected.
SELECT count(*)
  FROM conversations
 WHERE owner = :owner
   {selected}
