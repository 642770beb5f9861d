-- Return the columns of the turns of these conversations, each as one JSON array, in order of key and sequence.
--
-- The result is one row, because fetching each row hands over the interpreter lock. JSON functions would read a blob as
-- JSONB, so a blob causes an error: '!' is not JSON. Only blobs are not less than x''.
SELECT json_group_array(key)      AS keys,
       json_group_array(id)       AS ids,
       json_group_array(role)     AS roles,
       json_group_array(content)  AS contents,
       json_group_array(metadata) AS metadata
  FROM (SELECT turns.conversation_key AS key, turns.role, turns.content, turns.metadata,
               iif(turns.id >= x'' OR turns.role >= x'' OR turns.content >= x'' OR turns.metadata >= x'',
                   json('!' || turns.sequence), turns.id) AS id
          FROM {schema}.turns
         WHERE turns.conversation_key IN (SELECT value FROM json_each(:keys))
           AND turns.owner = :owner
         ORDER BY turns.conversation_key, turns.sequence)
