-- deleting → deleting, or deleted at its end, from when it is kept as long as was asked
UPDATE {schema}.backups
   SET deleted = deleted + :deleted, changed = changed + :changed, gone = gone + :gone,
       deletion = CASE WHEN :ended THEN 'deleted' ELSE 'deleting' END,
       expires_at = CASE WHEN :ended THEN :now + keep_micros END
 WHERE key = :key
   AND owner = :owner
   AND deletion = 'deleting'
