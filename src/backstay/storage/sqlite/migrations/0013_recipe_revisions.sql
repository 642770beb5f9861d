-- The recipe of a job has revisions, and an edited item keeps the digest of what the input says.

CREATE TABLE recipe_revisions (
    job_key      INTEGER NOT NULL REFERENCES jobs (key),
    number       INTEGER NOT NULL,                   -- from 1, without gaps
    owner        TEXT NOT NULL,
    fingerprint  TEXT NOT NULL,                      -- SHA-256 of the recipe's canonical JSON: equal recipes have equal ones
    recipe       TEXT NOT NULL,
    created_at   INTEGER NOT NULL,
    PRIMARY KEY (job_key, number)
) WITHOUT ROWID;

CREATE INDEX recipe_revisions_by_fingerprint ON recipe_revisions (owner, fingerprint);

-- The fingerprints of existing recipes are computed by the program, because only Python writes canonical JSON.
INSERT INTO recipe_revisions (job_key, number, owner, fingerprint, recipe, created_at)
SELECT key, 1, owner, '', recipe, created_at
  FROM jobs
 WHERE recipe IS NOT NULL;

ALTER TABLE jobs ADD COLUMN revision INTEGER;        -- number of the current revision; NULL without a recipe
UPDATE jobs SET revision = 1 WHERE recipe IS NOT NULL;

ALTER TABLE items ADD COLUMN original_digest BLOB;   -- of the input, if the item was edited since
