-- Extend an expiring value, if the stored value is still this one.
UPDATE {schema}.notes
   SET expires_at = :expires_at
 WHERE kind = :kind
   AND owner = :owner
   AND name = :name
   AND value = :value
