-- Whether a backup was made in this folder.
SELECT EXISTS (
    SELECT 1
      FROM backups
     WHERE (folder = :folder OR (:is_default AND folder IS NULL))
       AND (:host IS NULL OR host = :host)
)
