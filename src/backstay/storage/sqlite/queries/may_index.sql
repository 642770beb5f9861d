-- Return whether an owner has conversations that are not indexed.
SELECT EXISTS (SELECT 1 FROM {schema}.unindexed_conversations WHERE owner = :owner)
