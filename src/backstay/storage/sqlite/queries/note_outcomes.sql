-- The delete did not remove these.
WITH asked (backup_key) AS (VALUES (?1)),
     noted (position, outcome) AS (VALUES {rows:2})
UPDATE backup_items
   SET outcome = noted.outcome
  FROM asked, noted
 WHERE backup_items.backup_key = asked.backup_key
   AND backup_items.position = noted.position
