-- Remove a note that still says this.
DELETE FROM {schema}.notes
 WHERE kind = :kind
   AND owner = :owner
   AND name = :name
   AND value = :value
