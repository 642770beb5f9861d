-- A worker lives.
UPDATE workers
   SET beat = beat + 1
 WHERE token = :token
   AND owner = :owner
