-- running → pending, behind items never tried; or running → failed, if the item has crashed worker after worker
UPDATE {schema}.items {indexed_by:items_running}
   SET state = CASE WHEN NOT :stopping AND alone AND alone_interruptions + 1 >= :crash_limit
                    THEN 'failed' ELSE 'pending' END,
       interruptions = interruptions + CAST(NOT :stopping AS integer),
       alone_interruptions = alone_interruptions + CAST(NOT :stopping AND alone AS integer),
       available_at = CASE WHEN :stopping THEN 0 ELSE :now END,
       worker = NULL, alone = FALSE, started_at = NULL
 WHERE job_key = :job_key
   AND worker = :token
   AND state = 'running'
RETURNING state
