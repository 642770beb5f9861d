-- planned → replaced
WITH replaced (position, new_id, backup_id) AS ({rows:bigint,text,text})
UPDATE {schema}.replacements
   SET new_id = replaced.new_id, backup_id = replaced.backup_id, replaced_at = :2
  FROM replaced
 WHERE replacements.job_key = :1
   AND replacements.position = replaced.position
