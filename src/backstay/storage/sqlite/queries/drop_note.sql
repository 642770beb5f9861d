-- Remove a note.
DELETE FROM notes
 WHERE kind = :kind
   AND owner = :owner
   AND name = :name
