-- A lease ends.
DELETE FROM workers
 WHERE token = :token
   AND owner = :owner
