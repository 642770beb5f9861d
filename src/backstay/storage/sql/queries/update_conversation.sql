-- Edit a conversation's own columns.
UPDATE {schema}.conversations
   SET topic = :topic, persona = :persona, updated_at = :updated_at
 WHERE owner = :owner
   AND key = :key
