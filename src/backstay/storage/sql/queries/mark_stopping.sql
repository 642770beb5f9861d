-- Record that a worker was asked to stop.
UPDATE {schema}.workers
   SET stopping = TRUE
 WHERE token = :token
   AND owner = :owner
