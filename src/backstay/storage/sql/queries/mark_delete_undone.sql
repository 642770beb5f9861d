-- deleting → undone: retention begins
UPDATE {schema}.backups
   SET deletion = 'undone', expires_at = :now + keep_micros
 WHERE key = :key
   AND owner = :owner
   AND deletion = 'deleting'
