-- Return whether a backup was made in this folder.
SELECT EXISTS (
    SELECT 1
      FROM {schema}.backups
     WHERE (folder = :folder OR (:is_default AND folder IS NULL))
       AND (CAST(:host AS text) IS NULL OR host = :host)
)
