-- Have a note that still says this last longer.
UPDATE notes
   SET expires_at = :expires_at
 WHERE kind = :kind
   AND owner = :owner
   AND name = :name
   AND value = :value
