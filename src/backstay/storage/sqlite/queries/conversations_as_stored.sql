-- Return these conversations with all their columns, in order of their keys.
WITH fixed (owner) AS (VALUES (:1)),
     requested (key) AS ({rows:bigint})
SELECT stored.key, id, topic, persona, content, metadata, job_id, item_id, created_at, updated_at{columns}
  FROM fixed
 CROSS JOIN requested
  JOIN conversations AS stored ON stored.key = requested.key AND stored.owner = fixed.owner
 ORDER BY stored.key
