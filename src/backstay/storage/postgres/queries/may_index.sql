-- Return whether an owner has conversations that are not indexed; not those of tables that an earlier version has adopted.
SELECT EXISTS (SELECT FROM {schema}.unindexed_conversations WHERE owner = :owner)
       AND (pg_catalog.to_regproc('{schema}.adopted_index_turns_added') IS NOT NULL
            OR NOT EXISTS (SELECT FROM {schema}.adopted))
