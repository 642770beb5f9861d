-- A bounded part of a job that is being removed.
DELETE FROM {schema}.items
 WHERE ctid = ANY (ARRAY (SELECT ctid
                            FROM {schema}.items WHERE job_key = :job_key AND owner = :owner LIMIT :limit FOR UPDATE))
