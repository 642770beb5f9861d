-- Return the owner and the expiry of an unexpired value of any owner; its name is a secret.
SELECT owner, expires_at
  FROM {schema}.notes
 WHERE kind = :kind
   AND name = :name
   AND expires_at > :now
