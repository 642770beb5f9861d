-- Return an expiring value, unless it has expired.
SELECT value
  FROM {schema}.notes
 WHERE kind = :kind
   AND owner = :owner
   AND name = :name
   AND expires_at > :now
