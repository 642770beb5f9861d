-- Conversations at these places with all their columns, in the order of storing.
WITH asked (owner) AS (VALUES (:1)),
     wanted (key) AS ({rows:bigint})
SELECT stored.key, id, topic, persona, content, metadata, job_id, item_id, created_at, updated_at{columns}
  FROM asked
 CROSS JOIN wanted
  JOIN conversations AS stored ON stored.key = wanted.key AND stored.owner = asked.owner
 ORDER BY stored.key
