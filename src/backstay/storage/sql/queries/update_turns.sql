-- Edit turns of a conversation.
WITH edited (sequence, role, content, metadata) AS ({rows:integer,text,text,text})
UPDATE {schema}.turns
   SET role = edited.role, content = edited.content, metadata = edited.metadata
  FROM edited
 WHERE turns.conversation_key = :1
   AND turns.owner = :2
   AND turns.sequence = edited.sequence
