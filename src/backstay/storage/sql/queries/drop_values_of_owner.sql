-- Delete all values of one kind of an owner.
DELETE FROM {schema}.notes
 WHERE kind = :kind
   AND owner = :owner
