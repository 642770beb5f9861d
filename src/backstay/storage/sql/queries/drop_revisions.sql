-- Delete the revisions of the recipe of a job that is discarded.
DELETE FROM {schema}.recipe_revisions
 WHERE job_key = :job_key
   AND owner = :owner
