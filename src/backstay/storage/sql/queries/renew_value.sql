-- Extend an expiring value, if it is still this value.
UPDATE {schema}.notes
   SET expires_at = :expires_at
 WHERE kind = :kind
   AND owner = :owner
   AND name = :name
   AND value = :value
