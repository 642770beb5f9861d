-- Return the exact index entries of these conversations.
SELECT key, turns, characters, model, has_tools
  FROM {schema}.conversation_index
 WHERE owner = :owner
   AND key IN ({list:keys})
   AND NOT EXISTS (SELECT 1
                     FROM {unindexed} AS unindexed
                    WHERE conversation_index.key BETWEEN unindexed.first_key AND unindexed.last_key)
