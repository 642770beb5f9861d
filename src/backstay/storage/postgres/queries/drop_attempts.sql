-- Delete a limited number of the attempts of a job that is cleaned or discarded.
DELETE FROM {schema}.attempts
 WHERE ctid = ANY (ARRAY (SELECT ctid
                            FROM {schema}.attempts WHERE job_key = :job_key AND owner = :owner LIMIT :limit FOR UPDATE))
