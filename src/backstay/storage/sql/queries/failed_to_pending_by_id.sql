-- failed → pending, one item by id
UPDATE {schema}.items
   SET state = 'pending', tries = 0, interruptions = 0, alone_interruptions = 0, available_at = 0
 WHERE job_key = :job_key
   AND owner = :owner
   AND id = :id
   AND state = 'failed'
