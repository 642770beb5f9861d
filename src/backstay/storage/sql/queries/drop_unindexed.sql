-- Forget which conversations of an owner are not indexed, before all of them are.
DELETE FROM {schema}.unindexed_conversations
 WHERE owner = :owner
