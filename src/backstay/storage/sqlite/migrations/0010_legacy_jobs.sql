-- An imported job waits in its own tables until a run brings all its items; before, it was a paused job without inputs.

CREATE TABLE legacy_jobs (
    owner        TEXT NOT NULL,
    job_id       TEXT NOT NULL,
    completed    INTEGER NOT NULL,
    failed       INTEGER NOT NULL,
    imported_at  INTEGER NOT NULL,
    PRIMARY KEY (owner, job_id)
) WITHOUT ROWID;

CREATE TABLE legacy_settled (
    owner    TEXT NOT NULL,
    job_id   TEXT NOT NULL,
    item_id  TEXT NOT NULL,
    error    TEXT,                                   -- why it failed; NULL: it was completed
    PRIMARY KEY (owner, job_id, item_id),
    FOREIGN KEY (owner, job_id) REFERENCES legacy_jobs (owner, job_id) ON DELETE CASCADE
) WITHOUT ROWID;

INSERT INTO legacy_jobs (owner, job_id, completed, failed, imported_at)
SELECT owner, id, completed, failed, created_at
  FROM jobs
 WHERE processor = 'taken-over' AND recipe IS NULL AND id IS NOT NULL;  -- a discarded one, without an id, is being removed

INSERT INTO legacy_settled (owner, job_id, item_id, error)
SELECT items.owner, jobs.id, items.id, CASE items.state WHEN 'failed' THEN coalesce(attempts.error_message, '') END
  FROM jobs
  JOIN items ON items.job_key = jobs.key
  LEFT JOIN attempts ON attempts.job_key = items.job_key
                     AND attempts.position = items.position
                     AND attempts.number = items.attempt
 WHERE jobs.processor = 'taken-over' AND jobs.recipe IS NULL AND jobs.id IS NOT NULL;

DELETE FROM attempts WHERE job_key IN (
    SELECT key FROM jobs WHERE processor = 'taken-over' AND recipe IS NULL AND id IS NOT NULL);
DELETE FROM items WHERE job_key IN (
    SELECT key FROM jobs WHERE processor = 'taken-over' AND recipe IS NULL AND id IS NOT NULL);
DELETE FROM jobs WHERE processor = 'taken-over' AND recipe IS NULL AND id IS NOT NULL;

-- A failed item without an input, which the run of its job left out, can never be retried.
UPDATE jobs
   SET failed = failed - found.number, skipped = skipped + found.number
  FROM (SELECT job_key, count(*) AS number
          FROM items
         WHERE state = 'failed' AND octet_length(digest) = 0
         GROUP BY job_key) AS found
 WHERE jobs.key = found.job_key;
UPDATE items SET state = 'skipped' WHERE state = 'failed' AND octet_length(digest) = 0;
