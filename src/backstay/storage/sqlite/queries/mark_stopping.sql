-- A worker was told to stop.
UPDATE workers
   SET stopping = 1
 WHERE token = :token
   AND owner = :owner
