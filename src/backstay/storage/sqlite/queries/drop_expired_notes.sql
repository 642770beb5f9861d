-- A bounded part of the notes that have expired, whoever's they are.
DELETE FROM notes
 WHERE (kind, owner, name) IN (SELECT kind, owner, name FROM notes WHERE expires_at <= :now LIMIT :limit)
