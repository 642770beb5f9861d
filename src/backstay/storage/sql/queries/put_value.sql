-- Write an expiring value, replacing any existing one.
INSERT INTO {schema}.notes (kind, owner, name, value, expires_at)
VALUES (:kind, :owner, :name, :value, :expires_at)
    ON CONFLICT (kind, owner, name) DO UPDATE
   SET value = excluded.value, expires_at = excluded.expires_at
