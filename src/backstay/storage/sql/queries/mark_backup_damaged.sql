-- verified → damaged
UPDATE {schema}.backups
   SET state = 'damaged', damaged_at = :now
 WHERE key = :key
   AND owner = :owner
   AND state = 'verified'
