-- Return the owners with conversations that are not indexed.
SELECT DISTINCT owner
  FROM {schema}.unindexed_conversations
 ORDER BY owner
