-- A bounded part of a job that is being removed.
DELETE FROM attempts
 WHERE (job_key, position) IN (SELECT job_key, position FROM attempts WHERE job_key = :job_key AND owner = :owner LIMIT :limit)
