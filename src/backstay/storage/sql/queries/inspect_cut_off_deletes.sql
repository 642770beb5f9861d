-- Backups of one owner whose delete has not come to its end.
SELECT id, state = 'damaged'
  FROM {schema}.backups
 WHERE owner = :owner
   AND deletion = 'deleting'
 ORDER BY key
