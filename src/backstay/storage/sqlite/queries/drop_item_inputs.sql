-- Delete a limited number of the inputs of a job that is cleaned or discarded.
DELETE FROM {schema}.item_inputs
 WHERE (job_key, position) IN (SELECT job_key, position FROM {schema}.item_inputs WHERE job_key = :job_key AND owner = :owner LIMIT :limit)
