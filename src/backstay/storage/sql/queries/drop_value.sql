-- Delete an expiring value, if it is still this value.
DELETE FROM {schema}.notes
 WHERE kind = :kind
   AND owner = :owner
   AND name = :name
   AND value = :value
