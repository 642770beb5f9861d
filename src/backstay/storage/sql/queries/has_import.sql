-- Return whether an owner has an import with this id, or any if it is NULL.
SELECT EXISTS (SELECT 1
                 FROM {schema}.imports
                WHERE owner = :owner
                  AND id = coalesce(CAST(:import_id AS text), id))
