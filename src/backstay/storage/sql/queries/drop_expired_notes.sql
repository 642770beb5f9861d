-- A bounded part of the notes that have expired, whoever's they are.
DELETE FROM {schema}.notes
 WHERE (kind, owner, name) IN (SELECT kind, owner, name FROM {schema}.notes WHERE expires_at <= :now LIMIT :limit)
