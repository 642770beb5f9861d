-- Move adopted turns that are not numbered: each gets the value of the turn that is at its new place in the sorting column.
WITH moved (old_sequence, new_sequence) AS ({rows:integer,integer})
UPDATE {schema}.turns AS turns
   SET (conversation_key{columns}) = (SELECT there.conversation_key{columns}
                                        FROM {schema}.turns AS there
                                       WHERE there.conversation_key = :1
                                         AND there.sequence = moved.new_sequence)
  FROM moved
 WHERE turns.conversation_key = :1
   AND turns.owner = :2
   AND turns.sequence = moved.old_sequence
