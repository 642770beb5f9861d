-- Record that the conversations of a range of keys are not indexed.
INSERT INTO {schema}.unindexed_conversations (owner, first_key, last_key)
VALUES (:owner, :first, :last)
