-- Forget a range of conversations that were not indexed.
DELETE FROM {schema}.unindexed_conversations
 WHERE owner = :owner
   AND first_key = :first
   AND last_key = :last
