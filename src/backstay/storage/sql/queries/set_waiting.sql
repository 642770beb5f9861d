-- Record what a worker's calls wait for; NULL if they do not wait.
UPDATE {schema}.workers
   SET waiting = :waiting
 WHERE token = :token
   AND owner = :owner
