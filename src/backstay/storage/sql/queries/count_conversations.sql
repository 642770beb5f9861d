-- How many conversations are selected.
SELECT count(*)
  FROM {schema}.conversations
 WHERE owner = :owner
   {selected}
