-- Delete a limited number of the inputs of a job that is cleaned or discarded.
DELETE FROM {schema}.item_inputs
 WHERE ctid = ANY (ARRAY (SELECT ctid
                            FROM {schema}.item_inputs
                           WHERE job_key = :job_key AND owner = :owner LIMIT :limit FOR UPDATE))
