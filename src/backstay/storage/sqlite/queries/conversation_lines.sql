-- Return these conversations as lines of a backup, in order of their keys, with metadata as the stored text.
--
-- The result is one row, since every row hands over the interpreter lock: what is known of each conversation, and all lines
-- in one value. A value that JSON cannot express is an error, raised by '!', which is no JSON. Only blobs are not less than
-- x''.
SELECT json_group_array(json_array(key, id, job_id, item_id, turns, metadata, octet_length(line))) AS known,
       CAST(group_concat(line, '') AS BLOB)                                                        AS lines
  FROM (SELECT stored.key, stored.id, stored.job_id, stored.item_id,
               count(turns.sequence)                                  AS turns,
               (stored.metadata IS NOT NULL) + count(turns.metadata)  AS metadata,
               iif(stored.content >= x'' OR stored.created_at >= x'' OR stored.id >= x'' OR stored.item_id >= x''
                   OR stored.job_id >= x'' OR stored.metadata >= x'' OR stored.persona >= x'' OR stored.topic >= x''
                   OR stored.updated_at >= x'', json('!' || stored.key), concat(
                   '{"content":', json_quote(stored.content),
                   ',"conversation_turns":[',
                   group_concat(iif(turns.content < x'' AND turns.role < x'' AND (turns.id IS NULL OR turns.id < x'')
                                    AND CAST(turns.sequence AS INTEGER) IS turns.sequence, concat(
                       '{"content":', json_quote(turns.content),
                       ',"id":', json_quote(turns.id),
                       ',"metadata":', iif(turns.metadata IS NULL, '{}',
                                           iif(turns.metadata < x'', json_quote(turns.metadata),
                                               json('!' || turns.sequence))),
                       ',"role":', json_quote(turns.role),
                       ',"sequence":', turns.sequence, '}'),
                       iif(turns.sequence IS NULL, NULL, json('!' || turns.sequence))), ','),
                   '],"created_at":', json_quote(stored.created_at),
                   ',"id":', json_quote(stored.id),
                   ',"item_id":', json_quote(stored.item_id),
                   ',"job_id":', json_quote(stored.job_id),
                   ',"metadata":', iif(stored.metadata IS NULL, '{}', json_quote(stored.metadata)),
                   ',"persona":', json_quote(stored.persona),
                   ',"topic":', json_quote(stored.topic),
                   ',"updated_at":', json_quote(stored.updated_at), '}')) AS line
          FROM {schema}.conversations AS stored
          LEFT JOIN {schema}.turns ON turns.conversation_key = stored.key
         WHERE stored.owner = :owner
           AND stored.key IN (SELECT value FROM json_each(:keys))
         GROUP BY stored.key
         ORDER BY stored.key)
