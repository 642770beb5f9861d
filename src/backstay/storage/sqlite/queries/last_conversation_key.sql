-- Return the highest key ever given to a conversation.
SELECT coalesce(max(seq), 0)
  FROM sqlite_sequence
 WHERE name = 'conversations'
