-- Advance a worker's heartbeat.
UPDATE {schema}.workers
   SET beat = beat + 1
 WHERE token = :token
   AND owner = :owner
