-- Write an expiring value, unless an unexpired one exists.
INSERT INTO {schema}.notes (kind, owner, name, value, expires_at)
VALUES (:kind, :owner, :name, :value, :expires_at)
    ON CONFLICT (kind, owner, name) DO UPDATE
   SET value = excluded.value, expires_at = excluded.expires_at
 WHERE notes.expires_at <= :now
