-- pending → running: the claim is the record of the attempt. `:latest` lets items through that a clock set back has
-- put further ahead than any wait we give. What another worker is about to claim is passed over.
WITH chosen AS (SELECT position
                  FROM {schema}.items
                 WHERE job_key = :job_key
                   AND owner = :owner
                   AND state = 'pending'
                   AND (available_at <= :now OR available_at > :latest)
                   AND (interruptions >= :max_interruptions) = :alone
                 ORDER BY available_at, position
                 LIMIT :room
                   FOR UPDATE SKIP LOCKED)
UPDATE {schema}.items
   SET state = 'running', worker = :token, attempt = attempt + 1, alone = :alone, started_at = :now
 WHERE job_key = :job_key
   AND position = ANY (ARRAY (SELECT position FROM chosen))
RETURNING position, id, attempt, tries
