-- Making conversations again: the jobs that do it, and the conversation that each of their items replaces.

CREATE TABLE regenerations (
    job_key         INTEGER PRIMARY KEY REFERENCES jobs (key) ON DELETE CASCADE,
    owner           TEXT NOT NULL,
    source_job_key  INTEGER NOT NULL,                -- the job that made the conversations, which may be discarded since
    source_job_id   TEXT NOT NULL,
    backup_id       TEXT NOT NULL                    -- holds what is not replaced yet
);

-- A planned replacement has no new_id. One that was made stays when its job is discarded.
CREATE TABLE replacements (
    job_key          INTEGER NOT NULL,
    position         INTEGER NOT NULL,               -- of the item that makes the new conversation
    owner            TEXT NOT NULL,
    old_id           TEXT NOT NULL,
    row_version      BLOB NOT NULL,                  -- of the old conversation when the job was created
    backup_position  INTEGER,                        -- in the backup of the regeneration; NULL: the backup does not hold it
    new_id           TEXT,
    backup_id        TEXT,                           -- which holds the replaced one; NULL: it had been deleted before
    replaced_at      INTEGER,
    PRIMARY KEY (job_key, position)
) WITHOUT ROWID;

CREATE INDEX replacements_by_old ON replacements (owner, old_id);
CREATE INDEX replacements_by_new ON replacements (owner, new_id) WHERE new_id IS NOT NULL;
CREATE INDEX replacements_by_backup ON replacements (owner, backup_id) WHERE backup_id IS NOT NULL;
