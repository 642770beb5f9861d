-- nothing → planned: which conversation each staged item replaces.
WITH planned (item_id, old_id, row_version, backup_position) AS ({rows:text,text,bytea,bigint})
INSERT INTO {schema}.replacements (job_key, position, owner, old_id, row_version, backup_position)
SELECT items.job_key, items.position, items.owner, planned.old_id, planned.row_version, planned.backup_position
  FROM planned
  JOIN {schema}.items ON items.job_key = :1 AND items.id = planned.item_id
