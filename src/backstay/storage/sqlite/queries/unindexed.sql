-- Ranges of keys of conversations without an index entry. A part of other statements.
(SELECT first_key, last_key
   FROM {schema}.unindexed_conversations
  WHERE owner = :owner)
