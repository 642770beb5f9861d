-- Return the columns of the turns of these conversations, each as one JSON array, in order of key and sequence.
--
-- The result is one row, since every row hands over the interpreter lock. A blob, which JSON cannot hold, is an error.
SELECT json_group_array(conversation_key) AS keys,
       json_group_array(id)               AS ids,
       json_group_array(role)             AS roles,
       json_group_array(content)          AS contents,
       json_group_array(metadata)         AS metadata
  FROM (SELECT turns.conversation_key, turns.id, turns.role, turns.content, turns.metadata
          FROM json_each(:keys) AS requested
         CROSS JOIN {schema}.turns
         WHERE turns.conversation_key = requested.value
           AND turns.owner = :owner
         ORDER BY turns.conversation_key, turns.sequence)
