-- Delete an expiring value of any owner and return both, unless it has expired; its name is a secret.
DELETE FROM {schema}.notes
 WHERE kind = :kind
   AND name = :name
   AND expires_at > :now
RETURNING owner, value
