-- A bounded part of a job that is being removed.
DELETE FROM item_inputs
 WHERE (job_key, position) IN (SELECT job_key, position FROM item_inputs WHERE job_key = :job_key AND owner = :owner LIMIT :limit)
