-- The delete did not remove these.
WITH noted (position, outcome) AS ({rows:bigint,text})
UPDATE {schema}.backup_items
   SET outcome = noted.outcome
  FROM noted
 WHERE backup_items.backup_key = :1
   AND backup_items.position = noted.position
