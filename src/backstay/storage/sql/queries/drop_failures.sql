-- Delete a limited number of failures of a job that is cleaned or discarded.
DELETE FROM {schema}.failures
 WHERE sequence IN (SELECT sequence FROM {schema}.failures WHERE job_key = :job_key AND owner = :owner LIMIT :limit)
