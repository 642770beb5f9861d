-- Extend a note that still has this value.
UPDATE {schema}.notes
   SET expires_at = :expires_at
 WHERE kind = :kind
   AND owner = :owner
   AND name = :name
   AND value = :value
