-- Return ranges of keys of conversations that are not indexed. Their keys identify them.
SELECT first_key, last_key, NULL
  FROM {schema}.unindexed_conversations
 WHERE owner = :owner
 ORDER BY last_key, first_key
 LIMIT :limit
