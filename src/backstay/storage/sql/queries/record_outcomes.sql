-- Record the items of a backup that the delete did not remove.
WITH outcomes (position, outcome) AS ({rows:bigint,text})
UPDATE {schema}.backup_items
   SET outcome = outcomes.outcome
  FROM outcomes
 WHERE backup_items.backup_key = :1
   AND backup_items.position = outcomes.position
