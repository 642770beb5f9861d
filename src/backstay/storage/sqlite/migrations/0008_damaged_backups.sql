-- A backup whose file is not what was verified any more is known for it, and one that has expired is noted before it goes.
--
-- SQLite cannot change what a column may hold, so the table is made anew. What refers to it is compared at the commit.
PRAGMA defer_foreign_keys = ON;

CREATE TEMP TABLE kept_backups AS SELECT * FROM backups;
DROP TABLE backups;

CREATE TABLE backups (
    key                    INTEGER PRIMARY KEY AUTOINCREMENT,
    owner                  TEXT NOT NULL,
    id                     TEXT NOT NULL,
    state                  TEXT NOT NULL CHECK (state IN ('running', 'verified', 'damaged', 'failed', 'expired')),
    reason                 TEXT NOT NULL,
    folder                 TEXT,                     -- NULL: next to the database, even if that is moved
    host                   TEXT,                     -- the machine that the folder is on; NULL: made before this was noted
    conversations          INTEGER NOT NULL DEFAULT 0,
    turns                  INTEGER NOT NULL DEFAULT 0,
    content_bytes          INTEGER NOT NULL DEFAULT 0,     -- before compression
    file_bytes             INTEGER NOT NULL DEFAULT 0,
    file_sha256            BLOB,                     -- of the file as it is on disk
    error                  TEXT,                     -- why it failed
    pinned                 INTEGER NOT NULL DEFAULT 0,
    keep_micros            INTEGER NOT NULL,         -- how long it is kept, from its end or its delete's
    expires_at             INTEGER,                  -- NULL while it is being written, or its delete is unfinished
    first_seen_expired_at  INTEGER,                  -- when a cleanup first found that it has expired
    created_at             INTEGER NOT NULL,
    verified_at            INTEGER,
    damaged_at             INTEGER,                  -- when its file was first found damaged; NULL once it is sound again
    removed_at             INTEGER,                  -- of an expired one: its file is gone, and its items too
    deletion               TEXT CHECK (deletion IN ('deleting', 'deleted', 'undone', 'abandoned')),   -- NULL: for no delete
    deleted                INTEGER NOT NULL DEFAULT 0,     -- conversations that the delete has removed so far …
    changed                INTEGER NOT NULL DEFAULT 0,     -- … kept, because they were changed since the snapshot …
    gone                   INTEGER NOT NULL DEFAULT 0      -- … and found gone already
);

INSERT INTO backups (key, owner, id, state, reason, folder, host, conversations, turns, content_bytes, file_bytes,
                     file_sha256, error, pinned, keep_micros, expires_at, created_at, verified_at, removed_at, deletion,
                     deleted, changed, gone)
SELECT key, owner, id, state, reason, folder, host, conversations, turns, content_bytes, file_bytes, file_sha256, error,
       pinned, keep_micros, expires_at, created_at, verified_at, removed_at, deletion, deleted, changed, gone
  FROM kept_backups;
DROP TABLE kept_backups;

CREATE UNIQUE INDEX backups_by_id ON backups (owner, id);
CREATE INDEX backups_in_use ON backups (owner, state) WHERE state = 'running' OR deletion = 'deleting';
