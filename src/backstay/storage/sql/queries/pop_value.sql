-- Delete an unexpired value of any owner, and return that owner; its name is a secret.
DELETE FROM {schema}.notes
 WHERE kind = :kind
   AND name = :name
   AND expires_at > :now
RETURNING owner
