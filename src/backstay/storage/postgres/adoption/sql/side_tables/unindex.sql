-- Note in the index that all conversations may have changed.
DELETE FROM {{ schema }}.conversation_index;
DELETE FROM {{ schema }}.unindexed_conversations;
INSERT INTO {{ schema }}.unindexed_conversations (owner, first_key, last_key)
SELECT DISTINCT owner, 0, 9223372036854775807 FROM {{ schema }}.adopted_conversations WHERE owner IS NOT NULL;
