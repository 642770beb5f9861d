-- Delete a limited number of the attempts of a job that is cleaned or discarded.
DELETE FROM {schema}.attempts
 WHERE (job_key, position) IN (SELECT job_key, position FROM {schema}.attempts WHERE job_key = :job_key AND owner = :owner LIMIT :limit)
