-- Conversations at these places with all their columns, in the order of storing.
WITH wanted (backstay_key) AS ({rows:bigint})
SELECT key, id, topic, persona, content, metadata, job_id, item_id, created_at, updated_at{columns}
  FROM wanted
 CROSS JOIN LATERAL (SELECT *
                       FROM {schema}.conversations
                      WHERE owner = :1
                        AND key = wanted.backstay_key
                     OFFSET 0) AS found
 ORDER BY key
