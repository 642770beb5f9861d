-- Delete a limited number of the items of a job that is discarded.
DELETE FROM {schema}.items
 WHERE ctid = ANY (ARRAY (SELECT ctid
                            FROM {schema}.items WHERE job_key = :job_key AND owner = :owner LIMIT :limit FOR UPDATE))
