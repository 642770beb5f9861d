-- Return these conversations with all their columns, in order of their keys.
WITH requested (backstay_key) AS ({rows:bigint})
SELECT key, id, topic, persona, content, metadata, job_id, item_id, created_at, updated_at{columns}
  FROM requested
 CROSS JOIN LATERAL (SELECT *
                       FROM {schema}.conversations
                      WHERE owner = :1
                        AND key = requested.backstay_key
                     OFFSET 0) AS stored
 ORDER BY key
