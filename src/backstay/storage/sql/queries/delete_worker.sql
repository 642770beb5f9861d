-- A lease ends.
DELETE FROM {schema}.workers
 WHERE token = :token
   AND owner = :owner
