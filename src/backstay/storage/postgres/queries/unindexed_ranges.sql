-- Return ranges of keys of conversations that are not indexed, each with its number.
SELECT first_key, last_key, number
  FROM {schema}.unindexed_conversations
 WHERE owner = :owner
 ORDER BY number
 LIMIT :limit
