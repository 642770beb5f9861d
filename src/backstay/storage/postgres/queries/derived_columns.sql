-- The columns of an index entry, derived from the conversation `stored`. A part of other statements. The functions are
-- called only for metadata that may have what they look for.
       stored.owner, stored.key,
       (SELECT count(*)
          FROM {schema}.turns
         WHERE turns.conversation_key = stored.key AND turns.owner = stored.owner) AS turns,
       (SELECT coalesce(sum(length(turns.content)), 0)
          FROM {schema}.turns
         WHERE turns.conversation_key = stored.key AND turns.owner = stored.owner) AS characters,
       CASE WHEN position('"tools"' IN stored.metadata) > 0
            THEN {schema}.metadata_has_list(stored.metadata, 'tools')
            ELSE FALSE
       END
       OR EXISTS (SELECT 1
                    FROM {schema}.turns
                   WHERE turns.conversation_key = stored.key AND turns.owner = stored.owner
                     AND CASE WHEN position('"tool_calls"' IN turns.metadata) > 0
                              THEN {schema}.metadata_has_list(turns.metadata, 'tool_calls')
                              ELSE FALSE
                         END) AS has_tools,
       CASE WHEN position('"writer"' IN stored.metadata) > 0 OR position('"model"' IN stored.metadata) > 0
            THEN {schema}.metadata_model(stored.metadata)
       END AS model,
       stored.job_id, stored.persona, stored.created_at
