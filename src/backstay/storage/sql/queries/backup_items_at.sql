-- Return the items of a backup at these positions.
WITH requested (position) AS ({rows:bigint})
SELECT held.position, held.id, held.conversation_key, held.digest, held.row_version, held.curation_digest, held.late_curation
  FROM requested
  JOIN {schema}.backup_items AS held ON held.backup_key = :1 AND held.position = requested.position
