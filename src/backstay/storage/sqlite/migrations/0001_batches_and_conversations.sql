-- The first schema: what we keep, and the durable batches that make it.
--
-- Times in batch tables are integers, microseconds since 1970 UTC. Times of conversations are RFC 3339 text, as they are
-- exported. Every table carries its owner. States are annotated in docs/states.md.

CREATE TABLE meta (
    name   TEXT PRIMARY KEY,
    value  TEXT NOT NULL
) WITHOUT ROWID;

-- What we keep ------------------------------------------------------------------------------------------------------

CREATE TABLE conversations (
    key         INTEGER PRIMARY KEY AUTOINCREMENT,   -- order of storing; never reused
    owner       TEXT NOT NULL,
    id          TEXT NOT NULL,
    topic       TEXT,
    persona     TEXT,
    content     TEXT,
    metadata    TEXT,                                -- JSON object; NULL means {}
    job_id      TEXT,                                -- made by this job (which may be discarded since) …
    item_id     TEXT,                                -- … from this item of it
    created_at  TEXT NOT NULL,
    updated_at  TEXT NOT NULL
);

CREATE UNIQUE INDEX conversations_by_id ON conversations (owner, id);
CREATE INDEX conversations_by_job ON conversations (owner, job_id) WHERE job_id IS NOT NULL;

CREATE TABLE turns (
    conversation_key  INTEGER NOT NULL REFERENCES conversations (key) ON DELETE CASCADE,
    sequence          INTEGER NOT NULL,              -- from 1, without gaps
    owner             TEXT NOT NULL,
    id                TEXT,                          -- where the turn came with one
    role              TEXT NOT NULL,
    content           TEXT NOT NULL,
    metadata          TEXT,
    PRIMARY KEY (conversation_key, sequence)
) WITHOUT ROWID;

-- Durable work ------------------------------------------------------------------------------------------------------

-- The counts here are what no worker's row holds: a job's progress is the sum of its row and its workers' rows.
CREATE TABLE jobs (
    key            INTEGER PRIMARY KEY AUTOINCREMENT,
    owner          TEXT NOT NULL,
    id             TEXT,                             -- NULL while creating
    state          TEXT NOT NULL CHECK (state IN ('creating', 'pending', 'running', 'paused', 'cancelled',
                                                  'completed', 'completed_with_failures')),
    processor      TEXT NOT NULL,
    settings       TEXT NOT NULL,                    -- JSON: what is frozen into the job
    recipe         TEXT,                             -- JSON, if a model is called; NULL for other processors
    pending        INTEGER NOT NULL DEFAULT 0,
    running        INTEGER NOT NULL DEFAULT 0,
    completed      INTEGER NOT NULL DEFAULT 0,
    failed         INTEGER NOT NULL DEFAULT 0,
    skipped        INTEGER NOT NULL DEFAULT 0,
    tokens_in      INTEGER NOT NULL DEFAULT 0,
    tokens_out     INTEGER NOT NULL DEFAULT 0,
    pause_code     TEXT,
    pause_message  TEXT,
    cleaned_at     INTEGER,
    created_at     INTEGER NOT NULL,
    updated_at     INTEGER NOT NULL,
    finished_at    INTEGER,
    CHECK ((id IS NULL) = (state = 'creating'))
);

CREATE UNIQUE INDEX jobs_by_id ON jobs (owner, id);

-- One row a lease. Its key is the fencing token: what a worker writes counts only while its row is here.
CREATE TABLE workers (
    token        INTEGER PRIMARY KEY AUTOINCREMENT,
    owner        TEXT NOT NULL,
    job_key      INTEGER NOT NULL REFERENCES jobs (key),
    beat         INTEGER NOT NULL DEFAULT 0,
    stopping     INTEGER NOT NULL DEFAULT 0,         -- asked to stop: items that it still holds do not count as interrupted
    host         TEXT NOT NULL,
    boot_id      TEXT NOT NULL,
    pid          INTEGER NOT NULL,
    lock_path    TEXT NOT NULL,
    lock_device  INTEGER NOT NULL,
    lock_inode   INTEGER NOT NULL,
    pending      INTEGER NOT NULL DEFAULT 0,         -- changes by this worker, so they may be negative
    running      INTEGER NOT NULL DEFAULT 0,
    completed    INTEGER NOT NULL DEFAULT 0,
    failed       INTEGER NOT NULL DEFAULT 0,
    skipped      INTEGER NOT NULL DEFAULT 0,
    tokens_in    INTEGER NOT NULL DEFAULT 0,
    tokens_out   INTEGER NOT NULL DEFAULT 0,
    started_at   INTEGER NOT NULL,
    committed_at INTEGER NOT NULL
);

CREATE INDEX workers_by_job ON workers (job_key);

-- The thin row that stays: which item, which content, how it ended.
CREATE TABLE items (
    job_key              INTEGER NOT NULL REFERENCES jobs (key),
    position             INTEGER NOT NULL,           -- from 0, in the order of the input
    owner                TEXT NOT NULL,
    id                   TEXT NOT NULL,
    digest               BLOB NOT NULL,              -- SHA-256 of topic, persona, parameters
    state                TEXT NOT NULL DEFAULT 'pending',
    conversation_id      TEXT,                       -- of a completed item, unless the processor returned None
    worker               INTEGER,                    -- token of who holds it while running
    attempt              INTEGER NOT NULL DEFAULT 0, -- number of the latest attempt
    tries                INTEGER NOT NULL DEFAULT 0, -- failed attempts that count
    interruptions        INTEGER NOT NULL DEFAULT 0, -- attempts whose worker died
    alone_interruptions  INTEGER NOT NULL DEFAULT 0, -- of these, while no other item was running
    alone                INTEGER NOT NULL DEFAULT 0, -- the running attempt has its worker to itself
    available_at         INTEGER NOT NULL DEFAULT 0, -- not to be claimed before
    started_at           INTEGER,                    -- of the running attempt
    PRIMARY KEY (job_key, position)
) WITHOUT ROWID;

CREATE UNIQUE INDEX items_by_id ON items (job_key, id);
CREATE INDEX items_pending ON items (job_key, available_at, position) WHERE state = 'pending';
CREATE INDEX items_running ON items (job_key, worker, position) WHERE state = 'running';
CREATE INDEX items_failed ON items (job_key, position) WHERE state = 'failed';

-- What an item was given, until the job's checkpoint is cleaned.
CREATE TABLE item_inputs (
    job_key     INTEGER NOT NULL REFERENCES jobs (key),
    position    INTEGER NOT NULL,
    owner       TEXT NOT NULL,
    topic       TEXT NOT NULL,
    persona     TEXT,
    parameters  TEXT NOT NULL,                       -- JSON object
    line        INTEGER NOT NULL,                    -- where it stood in the input, from 1
    PRIMARY KEY (job_key, position)
) WITHOUT ROWID;

-- Attempts that ended. The running one is in its item's row: the claim wrote it there.
CREATE TABLE attempts (
    job_key        INTEGER NOT NULL REFERENCES jobs (key),
    position       INTEGER NOT NULL,
    number         INTEGER NOT NULL,
    owner          TEXT NOT NULL,
    worker         INTEGER NOT NULL,
    result         TEXT NOT NULL,                    -- completed, skipped, failed, retried, doomed, released, interrupted
    error_code     TEXT,
    error_message  TEXT,
    raw            TEXT,
    tokens_in      INTEGER NOT NULL DEFAULT 0,
    tokens_out     INTEGER NOT NULL DEFAULT 0,
    started_at     INTEGER NOT NULL,
    ended_at       INTEGER NOT NULL,
    PRIMARY KEY (job_key, position, number)
) WITHOUT ROWID;

-- For programs that expect one row per job with JSON arrays of item ids.
CREATE VIEW batch_checkpoints AS
SELECT jobs.key                                                      AS id,
       jobs.id                                                       AS job_id,
       (SELECT json_group_array(id)
          FROM (SELECT items.id FROM items
                 WHERE items.job_key = jobs.key AND items.state = 'completed' ORDER BY items.position))
                                                                     AS completed_items,
       (SELECT json_group_array(id)
          FROM (SELECT items.id FROM items
                 WHERE items.job_key = jobs.key AND items.state = 'failed' ORDER BY items.position))
                                                                     AS failed_items,
       (SELECT CAST(100 * (jobs.completed + jobs.failed + jobs.skipped + total(moved.settled))
                    / max(1, jobs.pending + jobs.running + jobs.completed + jobs.failed + jobs.skipped
                             + total(moved.planned)) AS INTEGER)
          FROM (SELECT completed + failed + skipped                     AS settled,
                       pending + running + completed + failed + skipped AS planned
                  FROM workers WHERE workers.job_key = jobs.key) AS moved)
                                                                     AS progress_percentage,
       strftime('%Y-%m-%dT%H:%M:%fZ', max(jobs.updated_at,
           coalesce((SELECT max(committed_at) FROM workers WHERE workers.job_key = jobs.key), 0)) / 1e6, 'unixepoch')
                                                                     AS last_checkpoint_at,
       strftime('%Y-%m-%dT%H:%M:%fZ', jobs.created_at / 1e6, 'unixepoch')
                                                                     AS created_at,
       strftime('%Y-%m-%dT%H:%M:%fZ', jobs.updated_at / 1e6, 'unixepoch')
                                                                     AS updated_at,
       jobs.owner                                                    AS owner
  FROM jobs
 WHERE jobs.state <> 'creating'
   AND jobs.cleaned_at IS NULL;
