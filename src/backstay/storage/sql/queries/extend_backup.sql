-- Let the retention of a backup begin anew: it holds conversations that were replaced just now.
UPDATE {schema}.backups
   SET expires_at = CASE WHEN expires_at < :now + keep_micros THEN :now + keep_micros ELSE expires_at END
 WHERE key = :key
   AND owner = :owner
   AND deletion IS DISTINCT FROM 'deleting'
