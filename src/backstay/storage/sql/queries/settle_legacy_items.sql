-- pending → completed or failed, a new job's items that the legacy library recorded as settled
UPDATE {schema}.items
   SET state = CASE WHEN legacy.error IS NULL THEN 'completed' ELSE 'failed' END,
       attempt = CASE WHEN legacy.error IS NULL THEN 0 ELSE 1 END,
       tries = CASE WHEN legacy.error IS NULL THEN 0 ELSE 1 END
  FROM {schema}.legacy_settled AS legacy
 WHERE items.job_key = :job_key
   AND items.owner = :owner
   AND items.id = legacy.item_id
   AND legacy.owner = :owner
   AND legacy.job_id = :job_id
