-- A bounded part of a job that is being removed.
DELETE FROM {schema}.item_inputs
 WHERE ctid = ANY (ARRAY (SELECT ctid
                            FROM {schema}.item_inputs
                           WHERE job_key = :job_key AND owner = :owner LIMIT :limit FOR UPDATE))
