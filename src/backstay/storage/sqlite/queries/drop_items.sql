-- Delete a limited number of the items of a job that is discarded.
DELETE FROM {schema}.items
 WHERE (job_key, position) IN (SELECT job_key, position FROM {schema}.items WHERE job_key = :job_key AND owner = :owner LIMIT :limit)
