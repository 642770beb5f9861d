-- Record that a worker was stopped.
UPDATE {schema}.workers
   SET stopping = TRUE
 WHERE token = :token
   AND owner = :owner
