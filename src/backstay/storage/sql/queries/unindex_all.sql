-- Record that no conversation of an owner is indexed.
INSERT INTO {schema}.unindexed_conversations (owner, first_key, last_key)
VALUES (:owner, 0, 9223372036854775807)
