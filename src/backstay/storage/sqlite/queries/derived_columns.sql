-- The columns of an index entry, derived from the conversation `stored`. A part of other statements. The casts give them
-- the affinities of the table's columns: without them SQLite would not merge the two halves of `index_entries`.
       stored.owner, stored.key,
       CAST((SELECT count(*)
               FROM {schema}.turns
              WHERE turns.conversation_key = stored.key AND turns.owner = stored.owner) AS INTEGER) AS turns,
       CAST((SELECT coalesce(sum(backstay_characters(turns.content)), 0)
               FROM {schema}.turns
              WHERE turns.conversation_key = stored.key AND turns.owner = stored.owner) AS INTEGER) AS characters,
       CAST(backstay_has_tools(stored.metadata)
            OR EXISTS (SELECT 1
                         FROM {schema}.turns
                        WHERE turns.conversation_key = stored.key AND turns.owner = stored.owner
                          AND turns.metadata IS NOT NULL AND backstay_has_tool_calls(turns.metadata)) AS INTEGER)
       AS has_tools,
       CAST(backstay_model(stored.metadata) AS TEXT) AS model,
       stored.job_id, stored.persona, stored.created_at
