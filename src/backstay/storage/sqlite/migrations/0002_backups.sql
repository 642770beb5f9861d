-- Backups of conversations, and deletes that can be undone. Times are microseconds since 1970 UTC.

CREATE TABLE backups (
    key              INTEGER PRIMARY KEY AUTOINCREMENT,
    owner            TEXT NOT NULL,
    id               TEXT NOT NULL,
    state            TEXT NOT NULL CHECK (state IN ('running', 'verified', 'failed', 'expired')),
    reason           TEXT NOT NULL,
    folder           TEXT,                           -- NULL: next to the database, even if that is moved
    conversations    INTEGER NOT NULL DEFAULT 0,
    turns            INTEGER NOT NULL DEFAULT 0,
    content_bytes    INTEGER NOT NULL DEFAULT 0,     -- before compression
    file_bytes       INTEGER NOT NULL DEFAULT 0,
    file_sha256      BLOB,                           -- of the file as it is on disk
    error            TEXT,                           -- why it failed
    pinned           INTEGER NOT NULL DEFAULT 0,
    keep_micros      INTEGER NOT NULL,               -- how long it is kept, from its end or its delete's
    expires_at       INTEGER,                        -- NULL while it is being written, or its delete is unfinished
    created_at       INTEGER NOT NULL,
    verified_at      INTEGER,
    removed_at       INTEGER,                        -- of an expired one: its file is gone, and its items too
    deletion         TEXT CHECK (deletion IN ('deleting', 'deleted', 'undone')),   -- NULL: made for no delete
    deleted          INTEGER NOT NULL DEFAULT 0,     -- conversations that the delete has removed so far …
    changed          INTEGER NOT NULL DEFAULT 0,     -- … kept, because they were changed since the snapshot …
    gone             INTEGER NOT NULL DEFAULT 0      -- … and found gone already
);

CREATE UNIQUE INDEX backups_by_id ON backups (owner, id);
CREATE INDEX backups_in_use ON backups (owner, state) WHERE state = 'running' OR deletion = 'deleting';

-- What is in a backup, taken in its snapshot: the file is compared with this, and so is what is to be deleted.
CREATE TABLE backup_items (
    backup_key        INTEGER NOT NULL REFERENCES backups (key),
    position          INTEGER NOT NULL,              -- from 0, in the order of storing, as in the file
    owner             TEXT NOT NULL,
    id                TEXT NOT NULL,
    conversation_key  INTEGER NOT NULL,              -- where it stood in the order of storing
    digest            BLOB NOT NULL,
    row_version       BLOB NOT NULL,
    outcome           TEXT CHECK (outcome IN ('changed', 'gone')),   -- of the delete, where it did not remove it
    PRIMARY KEY (backup_key, position)
) WITHOUT ROWID;

-- When the conversation of a completed item was deleted: the item stays completed, and is not generated again.
ALTER TABLE items ADD COLUMN deleted_at INTEGER;

-- For programs that expect one row per backup with a JSON array of conversation ids.
CREATE VIEW backup_exports AS
SELECT backups.key                                                   AS id,
       backups.id                                                    AS backup_id,
       backups.owner                                                 AS user_id,
       '/backups/' || backups.id || '.json'                          AS file_path,
       (SELECT json_group_array(id)
          FROM (SELECT backup_items.id FROM backup_items
                 WHERE backup_items.backup_key = backups.key ORDER BY backup_items.position))
                                                                     AS conversation_ids,
       backups.reason                                                AS backup_reason,
       strftime('%Y-%m-%dT%H:%M:%fZ', backups.expires_at / 1e6, 'unixepoch')
                                                                     AS expires_at,
       strftime('%Y-%m-%dT%H:%M:%fZ', backups.created_at / 1e6, 'unixepoch')
                                                                     AS created_at
  FROM backups
 WHERE backups.state = 'verified';
