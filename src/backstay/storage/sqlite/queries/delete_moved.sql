-- deleting → deleting, or deleted at its end, from when it is kept as long as was asked
UPDATE backups
   SET deleted = deleted + :deleted, changed = changed + :changed, gone = gone + :gone,
       deletion = iif(:ended, 'deleted', 'deleting'), expires_at = iif(:ended, :now + keep_micros, NULL)
 WHERE key = :key
   AND owner = :owner
   AND deletion = 'deleting'
