-- Return settled items of an imported job that are not among the items of the new job.
SELECT legacy.item_id
  FROM {schema}.legacy_settled AS legacy
 WHERE legacy.owner = :owner
   AND legacy.job_id = :job_id
   AND NOT EXISTS (SELECT 1 FROM {schema}.items WHERE items.job_key = :job_key AND items.id = legacy.item_id)
 ORDER BY legacy.item_id
 LIMIT :limit
