-- Drop the side tables. That of the turns first: its policy reads the other one.
DROP TABLE IF EXISTS {{ schema }}.adopted_turns;
DROP TABLE {{ schema }}.adopted_conversations;
-- Their conversations leave the library, and so the index.
DELETE FROM {{ schema }}.conversation_index;
DELETE FROM {{ schema }}.unindexed_conversations;
