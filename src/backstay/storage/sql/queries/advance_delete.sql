-- deleting → deleting, or deleting → deleted: add this step's counts; retention begins when the delete has ended.
UPDATE {schema}.backups
   SET deleted = deleted + :deleted, changed = changed + :changed, gone = gone + :gone,
       deletion = CASE WHEN :ended THEN 'deleted' ELSE 'deleting' END,
       expires_at = CASE WHEN :ended THEN :now + keep_micros END
 WHERE key = :key
   AND owner = :owner
   AND deletion = 'deleting'
