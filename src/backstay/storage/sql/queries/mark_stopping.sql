-- A worker was told to stop.
UPDATE {schema}.workers
   SET stopping = TRUE
 WHERE token = :token
   AND owner = :owner
