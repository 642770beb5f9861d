-- The calls of a worker wait, or no longer do.
UPDATE {schema}.workers
   SET waiting = :waiting
 WHERE token = :token
   AND owner = :owner
