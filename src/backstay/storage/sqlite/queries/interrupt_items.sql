-- running → pending, behind those never tried, or failed when it has crashed worker after worker
UPDATE items INDEXED BY items_running
   SET state = CASE WHEN NOT :stopping AND alone AND alone_interruptions + 1 >= :crash_limit
                    THEN 'failed' ELSE 'pending' END,
       interruptions = interruptions + NOT :stopping,
       alone_interruptions = alone_interruptions + (NOT :stopping AND alone),
       available_at = CASE WHEN :stopping THEN 0 ELSE :now END,
       worker = NULL, alone = 0, started_at = NULL
 WHERE job_key = :job_key
   AND worker = :token
   AND state = 'running'
RETURNING state
