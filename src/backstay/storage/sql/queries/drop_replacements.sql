-- Delete a limited number of the planned replacements of a job that is discarded; those that were made stay.
DELETE FROM {schema}.replacements
 WHERE (job_key, position) IN (SELECT job_key, position
                                 FROM {schema}.replacements
                                WHERE job_key = :job_key AND owner = :owner AND new_id IS NULL LIMIT :limit)
