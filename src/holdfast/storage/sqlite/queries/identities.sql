-- Items in order, by what tells them apart.
SELECT items.position, items.id, items.digest
  FROM items
  JOIN jobs ON jobs.key = items.job_key
 WHERE jobs.owner = :owner
   AND jobs.id = :job_id
   AND items.position > :after
 ORDER BY items.position
 LIMIT :limit
