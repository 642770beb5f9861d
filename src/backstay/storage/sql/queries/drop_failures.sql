-- A bounded part of what failed in a job that is being cleaned or removed.
DELETE FROM {schema}.failures
 WHERE sequence IN (SELECT sequence FROM {schema}.failures WHERE job_key = :job_key AND owner = :owner LIMIT :limit)
