-- damaged → verified, if it was recorded as damaged before its file was read
UPDATE {schema}.backups
   SET state = 'verified', damaged_at = NULL
 WHERE key = :key
   AND owner = :owner
   AND state = 'damaged'
   AND damaged_at = :damaged_at
