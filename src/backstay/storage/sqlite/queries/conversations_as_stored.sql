-- Return these conversations with all their columns, in order of their keys.
WITH requested (key) AS ({rows:bigint})
SELECT stored.key, id, topic, persona, content, metadata, job_id, item_id, created_at, updated_at{columns}
  FROM requested
 CROSS JOIN {schema}.conversations AS stored
 WHERE stored.owner = :1
   AND stored.key = requested.key
 ORDER BY stored.key
