-- Backups of an owner were looked through for what has expired.
INSERT INTO {schema}.meta (name, value)
VALUES (:name, :now)
    ON CONFLICT (name) DO UPDATE SET value = excluded.value
