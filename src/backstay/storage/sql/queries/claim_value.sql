-- Write an expiring value, unless one is there that has not expired.
INSERT INTO {schema}.notes (kind, owner, name, value, expires_at)
VALUES (:kind, :owner, :name, :value, :expires_at)
    ON CONFLICT (kind, owner, name) DO UPDATE
   SET value = excluded.value, expires_at = excluded.expires_at
 WHERE notes.expires_at <= :now
