-- Record when a cleanup of an owner's backups ran.
INSERT INTO {schema}.meta (name, value)
VALUES (:name, :now)
    ON CONFLICT (name) DO UPDATE SET value = excluded.value
