-- Return these conversations as lines of a backup, in order of their keys, with metadata as the stored text.
SELECT stored.key, stored.id, stored.job_id, stored.item_id, counted.turns,
       counted.metadata + (stored.metadata IS NOT NULL)::integer   AS metadata,
       concat('{"content":', coalesce(to_json(stored.content)::text, 'null'),
              ',"conversation_turns":[', counted.lines,
              '],"created_at":', to_json(stored.created_at),
              ',"id":', to_json(stored.id),
              ',"item_id":', coalesce(to_json(stored.item_id)::text, 'null'),
              ',"job_id":', coalesce(to_json(stored.job_id)::text, 'null'),
              ',"metadata":', coalesce(to_json(stored.metadata)::text, '{}'),
              ',"persona":', coalesce(to_json(stored.persona)::text, 'null'),
              ',"topic":', coalesce(to_json(stored.topic)::text, 'null'),
              ',"updated_at":', to_json(stored.updated_at), '}') AS line
  FROM ({requested}) AS requested (key)
 CROSS JOIN LATERAL (SELECT *
                       FROM {schema}.conversations
                      WHERE owner = :owner
                        AND key = requested.key
                     OFFSET 0) AS stored
 CROSS JOIN LATERAL (SELECT count(*) AS turns, count(turns.metadata) AS metadata,
                            string_agg(concat('{"content":', to_json(turns.content),
                                              ',"id":', coalesce(to_json(turns.id)::text, 'null'),
                                              ',"metadata":', coalesce(to_json(turns.metadata)::text, '{}'),
                                              ',"role":', to_json(turns.role),
                                              ',"sequence":', turns.sequence, '}'), ',' ORDER BY turns.sequence) AS lines
                       FROM {schema}.turns
                      WHERE turns.conversation_key = stored.key) AS counted
 ORDER BY requested.key
