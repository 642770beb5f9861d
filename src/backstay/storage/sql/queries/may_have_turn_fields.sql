-- Return whether a selected conversation may have tools, or turns with an id or other fields, which are stored as
-- metadata.
SELECT EXISTS (SELECT 1
                 FROM {schema}.conversations
                WHERE owner = :owner
                  AND (metadata LIKE '%"tools"%'
                       OR EXISTS (SELECT 1
                                    FROM {schema}.turns
                                   WHERE turns.conversation_key = conversations.key
                                     AND (turns.metadata <> '{}' OR turns.id IS NOT NULL)))
                  {selected})
