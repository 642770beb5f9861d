-- pending or failed → skipped, one item by id, if it is in the given state; numbered as an attempt, as a claim would
-- be
UPDATE {schema}.items
   SET state = 'skipped', attempt = attempt + 1, available_at = 0
 WHERE job_key = :job_key
   AND owner = :owner
   AND id = :id
   AND state = :state
RETURNING position, attempt
