-- Forget a range of conversations that were not indexed.
DELETE FROM {schema}.unindexed_conversations
 WHERE owner = :owner
   AND number = :identity
