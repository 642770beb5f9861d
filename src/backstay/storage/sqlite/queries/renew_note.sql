-- Extend a note that still has this value.
UPDATE notes
   SET expires_at = :expires_at
 WHERE kind = :kind
   AND owner = :owner
   AND name = :name
   AND value = :value
