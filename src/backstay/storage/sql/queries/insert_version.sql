-- Keep a conversation as it is before an edit, under the next number.
INSERT INTO {schema}.conversation_versions (conversation_key, number, owner, line, editor, replaced_at)
SELECT :key, coalesce(max(number), 0) + 1, :owner, :line, :editor, :replaced_at
  FROM {schema}.conversation_versions
 WHERE conversation_key = :key
