-- Return the backups of an owner whose delete is unfinished, each with whether it is damaged.
SELECT id, state = 'damaged'
  FROM {schema}.backups
 WHERE owner = :owner
   AND deletion = 'deleting'
 ORDER BY key
