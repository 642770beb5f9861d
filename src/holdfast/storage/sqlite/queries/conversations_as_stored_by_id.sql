-- Conversations of these ids with all their columns.
WITH asked (owner) AS (VALUES (?1)),
     wanted (id) AS (VALUES {rows:1})
SELECT stored.key, stored.id, topic, persona, content, metadata, job_id, item_id, created_at, updated_at{columns}
  FROM asked
 CROSS JOIN wanted
  JOIN conversations AS stored ON stored.owner = asked.owner AND stored.id = wanted.id
