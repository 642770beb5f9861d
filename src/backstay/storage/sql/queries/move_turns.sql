-- Give turns of a conversation other numbers, none of which is in use.
WITH moved (old_sequence, new_sequence) AS ({rows:integer,integer})
UPDATE {schema}.turns
   SET sequence = moved.new_sequence
  FROM moved
 WHERE turns.conversation_key = :1
   AND turns.owner = :2
   AND turns.sequence = moved.old_sequence
