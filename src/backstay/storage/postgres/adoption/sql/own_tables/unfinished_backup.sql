-- Return the first backup that is being written, or whose delete is unfinished.
SELECT id
  FROM {{ schema }}.backups
 WHERE deletion = 'deleting' OR state = 'running'
 ORDER BY key
 LIMIT 1
