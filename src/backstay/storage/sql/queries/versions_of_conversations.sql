-- Return the earlier versions of these conversations, the oldest first.
WITH requested (key) AS ({rows:bigint})
SELECT versions.conversation_key, versions.number, versions.line, versions.editor, versions.replaced_at
  FROM requested
  JOIN {schema}.conversation_versions AS versions ON versions.conversation_key = requested.key
 ORDER BY versions.conversation_key, versions.number
