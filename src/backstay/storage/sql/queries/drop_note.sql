-- Remove a note that still has this value.
DELETE FROM {schema}.notes
 WHERE kind = :kind
   AND owner = :owner
   AND name = :name
   AND value = :value
