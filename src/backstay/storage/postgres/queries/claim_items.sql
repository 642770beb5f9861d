-- pending → running: the claim is the record of the attempt. `:latest` also lets items through whose time is further
-- ahead than our longest wait: the clock was set back. Rows that another worker is claiming are skipped.
WITH chosen AS (SELECT position
                  FROM {schema}.items
                 WHERE job_key = :job_key
                   AND owner = :owner
                   AND state = 'pending'
                   AND (available_at <= :now OR available_at > :latest)
                   AND (interruptions >= :suspect_interruptions) = :alone
                 ORDER BY available_at, position
                 LIMIT :max_items
                   FOR UPDATE SKIP LOCKED)
UPDATE {schema}.items
   SET state = 'running', worker = :token, attempt = attempt + 1, alone = :alone, started_at = :now
 WHERE job_key = :job_key
   AND position = ANY (ARRAY (SELECT position FROM chosen))
RETURNING position, id, attempt, tries
