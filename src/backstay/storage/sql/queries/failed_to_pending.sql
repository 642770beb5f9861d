-- failed → pending, all items of a job
UPDATE {schema}.items {indexed_by:items_failed}
   SET state = 'pending', tries = 0, interruptions = 0, alone_interruptions = 0, available_at = 0
 WHERE job_key = :job_key
   AND owner = :owner
   AND state = 'failed'
