-- Return the revisions of the recipes of these jobs, of the jobs that made their conversations again, and all recipes
-- that came from backups: what made a conversation again elsewhere is no job here.
WITH requested (job_id) AS ({rows:text}),
     named (job_key) AS (
         SELECT jobs.key
           FROM requested
           JOIN {schema}.jobs ON jobs.owner = :1 AND jobs.id = requested.job_id
          UNION
         SELECT regenerations.job_key
           FROM requested
           JOIN {schema}.regenerations ON regenerations.owner = :1 AND regenerations.source_job_id = requested.job_id
     )
SELECT jobs.id, revisions.number, revisions.fingerprint, revisions.created_at, revisions.recipe
  FROM named
  JOIN {schema}.jobs ON jobs.key = named.job_key
  JOIN {schema}.recipe_revisions AS revisions ON revisions.job_key = named.job_key
 UNION
SELECT job_id, number, fingerprint, created_at, recipe
  FROM {schema}.kept_recipes
 WHERE owner = :1
 ORDER BY 1, 2, 3
