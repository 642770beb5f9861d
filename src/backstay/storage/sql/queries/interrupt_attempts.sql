-- Record a dead worker's attempts as interrupted; as released if the worker had been stopped; or as failed if they
-- crashed it.
INSERT INTO {schema}.attempts (job_key, position, number, owner, worker, result, error_code, error_message, started_at,
                               ended_at)
SELECT job_key, position, attempt, owner, worker,
       CASE WHEN :stopping THEN 'released'
            WHEN alone AND alone_interruptions + 1 >= :crash_limit THEN 'failed'
            ELSE 'interrupted' END,
       CASE WHEN NOT :stopping AND alone AND alone_interruptions + 1 >= :crash_limit THEN 'crashed_worker' END,
       CASE WHEN NOT :stopping AND alone AND alone_interruptions + 1 >= :crash_limit
            THEN 'its worker died ' || (interruptions + 1) || ' times while this item ran, the last '
                 || (alone_interruptions + 1) || ' times with no other item running' END,
       started_at, :now
  FROM {schema}.items {indexed_by:items_running}
 WHERE job_key = :job_key
   AND worker = :token
   AND state = 'running'
