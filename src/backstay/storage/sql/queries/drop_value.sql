-- Delete an expiring value, if the stored value is still this one.
DELETE FROM {schema}.notes
 WHERE kind = :kind
   AND owner = :owner
   AND name = :name
   AND value = :value
