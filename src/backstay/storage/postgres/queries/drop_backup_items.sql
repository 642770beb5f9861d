-- A bounded part of what a removed backup held.
DELETE FROM {schema}.backup_items
 WHERE ctid = ANY (ARRAY (SELECT ctid
                            FROM {schema}.backup_items
                           WHERE backup_key = :key AND owner = :owner LIMIT :limit FOR UPDATE))
