-- Remove a note.
DELETE FROM {schema}.notes
 WHERE kind = :kind
   AND owner = :owner
   AND name = :name
