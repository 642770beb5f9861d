-- Return the recipes that a job and a number of its revision name: of a job here, and from backups.
WITH requested (job_id, number) AS ({rows:text,bigint})
SELECT jobs.id, revisions.number, revisions.fingerprint, revisions.created_at, revisions.recipe
  FROM requested
  JOIN {schema}.jobs ON jobs.owner = :1 AND jobs.id = requested.job_id
  JOIN {schema}.recipe_revisions AS revisions
    ON revisions.job_key = jobs.key AND revisions.number = requested.number
 UNION ALL
SELECT kept.job_id, kept.number, kept.fingerprint, kept.created_at, kept.recipe
  FROM requested
  JOIN {schema}.kept_recipes AS kept
    ON kept.owner = :1 AND kept.job_id = requested.job_id AND kept.number = requested.number
