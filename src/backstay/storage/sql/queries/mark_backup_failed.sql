-- running → failed
UPDATE {schema}.backups
   SET state = 'failed', error = :error, expires_at = :now + keep_micros
 WHERE key = :key
   AND owner = :owner
   AND state = 'running'
