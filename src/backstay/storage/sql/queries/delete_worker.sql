-- End the lease of a worker.
DELETE FROM {schema}.workers
 WHERE token = :token
   AND owner = :owner
