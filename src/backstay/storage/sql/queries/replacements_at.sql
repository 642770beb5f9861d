-- Return the planned replacements of the items at these positions.
WITH requested (position) AS ({rows:bigint})
SELECT planned.position, planned.old_id, planned.row_version, planned.backup_position
  FROM requested
  JOIN {schema}.replacements AS planned ON planned.job_key = :1 AND planned.position = requested.position
