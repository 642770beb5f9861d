-- Return the highest key ever given to a conversation.
SELECT coalesce(pg_sequence_last_value('{schema}.conversations_key'::regclass), 0)
