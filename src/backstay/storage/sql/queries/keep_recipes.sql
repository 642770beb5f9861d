-- Keep recipes that came from a backup.
INSERT INTO {schema}.kept_recipes (owner, job_id, number, fingerprint, recipe, created_at)
{rows:text,text,bigint,text,text,bigint}
    ON CONFLICT (owner, job_id, number, fingerprint) DO NOTHING
