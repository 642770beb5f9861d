-- The first schema. It says what that of SQLite says after its third migration; what is annotated there holds here.
--
-- Times in tables of batches and backups are integers, microseconds since 1970 UTC. Times of conversations are RFC 3339
-- text, as they are exported, and JSON is text: both come back to the letter. Names and ids compare byte by byte.

CREATE TABLE {schema}.meta (
    name   text PRIMARY KEY,
    value  text NOT NULL
);

-- Which transaction of which connection was the last to be committed: who lost the answer to a COMMIT looks here.
CREATE TABLE {schema}.receipts (
    channel       uuid PRIMARY KEY,
    number        bigint NOT NULL,
    committed_at  timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50);

-- What we keep ------------------------------------------------------------------------------------------------------

CREATE SEQUENCE {schema}.conversations_key;           -- order of storing; never reused

CREATE TABLE {schema}.conversations (
    key         bigint PRIMARY KEY DEFAULT nextval('{schema}.conversations_key'),
    owner       text COLLATE "C" NOT NULL,
    id          text COLLATE "C" NOT NULL,
    topic       text,
    persona     text COLLATE "C",
    content     text,
    metadata    text,
    job_id      text COLLATE "C",
    item_id     text COLLATE "C",
    created_at  text COLLATE "C" NOT NULL,
    updated_at  text COLLATE "C" NOT NULL
);

ALTER SEQUENCE {schema}.conversations_key OWNED BY {schema}.conversations.key;

CREATE UNIQUE INDEX conversations_by_id ON {schema}.conversations (owner, id);
CREATE INDEX conversations_by_job ON {schema}.conversations (owner, job_id) WHERE job_id IS NOT NULL;

CREATE TABLE {schema}.turns (
    conversation_key  bigint NOT NULL REFERENCES {schema}.conversations (key) ON DELETE CASCADE,
    sequence          integer NOT NULL,
    owner             text COLLATE "C" NOT NULL,
    id                text,
    role              text NOT NULL,
    content           text NOT NULL,
    metadata          text,
    PRIMARY KEY (conversation_key, sequence)
);

-- Durable work ------------------------------------------------------------------------------------------------------
--
-- Rows of items, inputs and attempts belong to a job by their key. No foreign key says so: it would be asked for each
-- row, and cost as much as the row; only Backstay writes here, and it removes a job last.

CREATE TABLE {schema}.jobs (
    key            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    owner          text COLLATE "C" NOT NULL,
    id             text COLLATE "C",
    state          text NOT NULL CHECK (state IN ('creating', 'pending', 'running', 'paused', 'cancelled',
                                                  'completed', 'completed_with_failures')),
    processor      text NOT NULL,
    settings       text NOT NULL,
    recipe         text,
    pending        bigint NOT NULL DEFAULT 0,
    running        bigint NOT NULL DEFAULT 0,
    completed      bigint NOT NULL DEFAULT 0,
    failed         bigint NOT NULL DEFAULT 0,
    skipped        bigint NOT NULL DEFAULT 0,
    tokens_in      bigint NOT NULL DEFAULT 0,
    tokens_out     bigint NOT NULL DEFAULT 0,
    pause_code     text,
    pause_message  text,
    cleaned_at     bigint,
    created_at     bigint NOT NULL,
    updated_at     bigint NOT NULL,
    finished_at    bigint,
    CHECK ((id IS NULL) = (state = 'creating'))
);

CREATE UNIQUE INDEX jobs_by_id ON {schema}.jobs (owner, id);

CREATE TABLE {schema}.workers (
    token         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    owner         text COLLATE "C" NOT NULL,
    job_key       bigint NOT NULL REFERENCES {schema}.jobs (key),
    beat          bigint NOT NULL DEFAULT 0,
    stopping      boolean NOT NULL DEFAULT FALSE,
    host          text NOT NULL,
    boot_id       text NOT NULL,
    pid           bigint NOT NULL,
    lock_path     text NOT NULL,
    lock_device   bigint NOT NULL,
    lock_inode    bigint NOT NULL,
    pending       bigint NOT NULL DEFAULT 0,
    running       bigint NOT NULL DEFAULT 0,
    completed     bigint NOT NULL DEFAULT 0,
    failed        bigint NOT NULL DEFAULT 0,
    skipped       bigint NOT NULL DEFAULT 0,
    tokens_in     bigint NOT NULL DEFAULT 0,
    tokens_out    bigint NOT NULL DEFAULT 0,
    started_at    bigint NOT NULL,
    committed_at  bigint NOT NULL
) WITH (fillfactor = 50);                              -- a row changes with each commit; its next version fits on the same page

CREATE INDEX workers_by_job ON {schema}.workers (job_key);

CREATE TABLE {schema}.items (
    job_key              bigint NOT NULL,
    position             bigint NOT NULL,
    owner                text COLLATE "C" NOT NULL,
    id                   text COLLATE "C" NOT NULL,
    digest               bytea NOT NULL,
    state                text COLLATE "C" NOT NULL DEFAULT 'pending',
    conversation_id      text COLLATE "C",
    worker               bigint,
    attempt              integer NOT NULL DEFAULT 0,
    tries                integer NOT NULL DEFAULT 0,
    interruptions        integer NOT NULL DEFAULT 0,
    alone_interruptions  integer NOT NULL DEFAULT 0,
    alone                boolean NOT NULL DEFAULT FALSE,
    available_at         bigint NOT NULL DEFAULT 0,
    started_at           bigint,
    deleted_at           bigint,
    PRIMARY KEY (job_key, position)
);

CREATE UNIQUE INDEX items_by_id ON {schema}.items (job_key, id);
CREATE INDEX items_pending ON {schema}.items (job_key, available_at, position) WHERE state = 'pending';
CREATE INDEX items_running ON {schema}.items (job_key, worker, position) WHERE state = 'running';
CREATE INDEX items_failed ON {schema}.items (job_key, position) WHERE state = 'failed';

CREATE TABLE {schema}.item_inputs (
    job_key     bigint NOT NULL,
    position    bigint NOT NULL,
    owner       text COLLATE "C" NOT NULL,
    topic       text NOT NULL,
    persona     text,
    parameters  text NOT NULL,
    line        bigint NOT NULL,
    PRIMARY KEY (job_key, position)
);

CREATE TABLE {schema}.attempts (
    job_key        bigint NOT NULL,
    position       bigint NOT NULL,
    number         integer NOT NULL,
    owner          text COLLATE "C" NOT NULL,
    worker         bigint NOT NULL,
    result         text NOT NULL,
    error_code     text,
    error_message  text,
    raw            text,
    tokens_in      bigint NOT NULL DEFAULT 0,
    tokens_out     bigint NOT NULL DEFAULT 0,
    started_at     bigint NOT NULL,
    ended_at       bigint NOT NULL,
    PRIMARY KEY (job_key, position, number)
);

CREATE VIEW {schema}.batch_checkpoints AS
SELECT jobs.key                                                      AS id,
       jobs.id                                                       AS job_id,
       (SELECT coalesce(jsonb_agg(items.id ORDER BY items.position), '[]')
          FROM {schema}.items
         WHERE items.job_key = jobs.key AND items.state = 'completed') AS completed_items,
       (SELECT coalesce(jsonb_agg(items.id ORDER BY items.position), '[]')
          FROM {schema}.items
         WHERE items.job_key = jobs.key AND items.state = 'failed')  AS failed_items,
       floor(100 * (jobs.completed + jobs.failed + jobs.skipped + moved.settled)
             / greatest(1, jobs.pending + jobs.running + jobs.completed + jobs.failed + jobs.skipped
                           + moved.planned))::integer                AS progress_percentage,
       'epoch'::timestamptz + greatest(jobs.updated_at, moved.committed_at) * interval '1 microsecond'
                                                                     AS last_checkpoint_at,
       'epoch'::timestamptz + jobs.created_at * interval '1 microsecond'
                                                                     AS created_at,
       'epoch'::timestamptz + jobs.updated_at * interval '1 microsecond'
                                                                     AS updated_at,
       jobs.owner                                                    AS owner
  FROM {schema}.jobs
 CROSS JOIN LATERAL (SELECT coalesce(sum(completed + failed + skipped), 0)                     AS settled,
                            coalesce(sum(pending + running + completed + failed + skipped), 0) AS planned,
                            max(committed_at)                                                  AS committed_at
                       FROM {schema}.workers WHERE workers.job_key = jobs.key) AS moved
 WHERE jobs.state <> 'creating'
   AND jobs.cleaned_at IS NULL;

-- Backups, and deletes that can be undone -----------------------------------------------------------------------------

CREATE TABLE {schema}.backups (
    key              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    owner            text COLLATE "C" NOT NULL,
    id               text COLLATE "C" NOT NULL,
    state            text NOT NULL CHECK (state IN ('running', 'verified', 'failed', 'expired')),
    reason           text NOT NULL,
    folder           text,
    host             text,
    conversations    bigint NOT NULL DEFAULT 0,
    turns            bigint NOT NULL DEFAULT 0,
    content_bytes    bigint NOT NULL DEFAULT 0,
    file_bytes       bigint NOT NULL DEFAULT 0,
    file_sha256      bytea,
    error            text,
    pinned           boolean NOT NULL DEFAULT FALSE,
    keep_micros      bigint NOT NULL,
    expires_at       bigint,
    created_at       bigint NOT NULL,
    verified_at      bigint,
    removed_at       bigint,
    deletion         text CHECK (deletion IN ('deleting', 'deleted', 'undone')),
    deleted          bigint NOT NULL DEFAULT 0,
    changed          bigint NOT NULL DEFAULT 0,
    gone             bigint NOT NULL DEFAULT 0
);

CREATE UNIQUE INDEX backups_by_id ON {schema}.backups (owner, id);
CREATE INDEX backups_in_use ON {schema}.backups (owner, state) WHERE state = 'running' OR deletion = 'deleting';

CREATE TABLE {schema}.backup_items (
    backup_key        bigint NOT NULL,
    position          bigint NOT NULL,
    owner             text COLLATE "C" NOT NULL,
    id                text NOT NULL,
    conversation_key  bigint NOT NULL,
    digest            bytea NOT NULL,
    row_version       bytea NOT NULL,
    outcome           text CHECK (outcome IN ('changed', 'gone')),
    PRIMARY KEY (backup_key, position)
);

CREATE VIEW {schema}.backup_exports AS
SELECT backups.key                                                   AS id,
       backups.id                                                    AS backup_id,
       backups.owner                                                 AS user_id,
       '/backups/' || backups.id || '.json'                          AS file_path,
       (SELECT coalesce(jsonb_agg(backup_items.id ORDER BY backup_items.position), '[]')
          FROM {schema}.backup_items
         WHERE backup_items.backup_key = backups.key)                AS conversation_ids,
       backups.reason                                                AS backup_reason,
       'epoch'::timestamptz + backups.expires_at * interval '1 microsecond'
                                                                     AS expires_at,
       'epoch'::timestamptz + backups.created_at * interval '1 microsecond'
                                                                     AS created_at
  FROM {schema}.backups
 WHERE backups.state = 'verified';
