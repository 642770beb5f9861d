-- Return the versions of a conversation that edits replaced, the first one first.
SELECT versions.number, versions.editor, versions.replaced_at
  FROM {schema}.conversations
  JOIN {schema}.conversation_versions AS versions ON versions.conversation_key = conversations.key
 WHERE conversations.owner = :owner
   AND conversations.id = :id
   AND versions.owner = :owner
 ORDER BY versions.number
