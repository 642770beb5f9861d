-- Remove a note that has not expired, whoever's it is, and say whose; its name is a secret that nobody guesses.
DELETE FROM {schema}.notes
 WHERE kind = :kind
   AND name = :name
   AND expires_at > :now
RETURNING owner, value
