-- Verified backups of one owner, whose files are to be there, the latest first.
SELECT id, folder, host
  FROM {schema}.backups
 WHERE owner = :owner
   AND state = 'verified'
 ORDER BY key DESC
