-- Insert a revision of a job's recipe.
INSERT INTO {schema}.recipe_revisions (job_key, number, owner, fingerprint, recipe, created_at)
VALUES (:job_key, :number, :owner, :fingerprint, :recipe, :now)
