-- Delete a limited number of the items of a removed backup.
DELETE FROM {schema}.backup_items
 WHERE (backup_key, position) IN (SELECT backup_key, position
                                    FROM {schema}.backup_items WHERE backup_key = :key AND owner = :owner LIMIT :limit)
