-- Delete a limited number of expired values of all owners.
DELETE FROM {schema}.notes
 WHERE (kind, owner, name) IN (SELECT kind, owner, name FROM {schema}.notes WHERE expires_at <= :now LIMIT :limit)
