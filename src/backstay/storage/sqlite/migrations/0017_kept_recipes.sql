-- Recipes that came with conversations from a backup, for jobs that this database does not have, or has with another recipe.

CREATE TABLE kept_recipes (
    owner        TEXT NOT NULL,
    job_id       TEXT NOT NULL,
    number       INTEGER NOT NULL,                   -- of the revision
    fingerprint  TEXT NOT NULL,                      -- in the key, because two libraries may have a job of the same name
    recipe       TEXT NOT NULL,
    created_at   INTEGER NOT NULL,                   -- when it became the job's recipe
    PRIMARY KEY (owner, job_id, number, fingerprint)
) WITHOUT ROWID;
