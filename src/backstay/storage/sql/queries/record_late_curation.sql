-- Record the reviews and versions that were changed between a backup's snapshot and the delete of the conversations.
WITH late (position, curation) AS ({rows:bigint,text})
UPDATE {schema}.backup_items
   SET late_curation = late.curation
  FROM late
 WHERE backup_items.backup_key = :1
   AND backup_items.position = late.position
