-- For servers: pages of a million conversations, failures in commit order, and expiring values.

-- SQLite stores the key after the owner, so one search of this index finds a page in the order of storing.
CREATE INDEX conversations_by_owner ON conversations (owner);

-- Each failure of an item, in the order of the commits, so that a client can ask for the failures after the last one it has seen.
CREATE TABLE failures (
    sequence  INTEGER PRIMARY KEY AUTOINCREMENT,
    job_key   INTEGER NOT NULL REFERENCES jobs (key),
    owner     TEXT NOT NULL,
    position  INTEGER NOT NULL,
    attempt   INTEGER NOT NULL                       -- the one that settled it
);

CREATE INDEX failures_by_job ON failures (job_key);

-- In the transaction that fails the item, whichever it is: a worker's commit, or a takeover.
CREATE TRIGGER item_failed AFTER UPDATE OF state ON items WHEN NEW.state = 'failed' AND OLD.state <> 'failed'
BEGIN
    INSERT INTO failures (job_key, owner, position, attempt) VALUES (NEW.job_key, NEW.owner, NEW.position, NEW.attempt);
END;

-- Small things that several servers must agree on for a while: requests under a key, tickets, who does a daily duty.
CREATE TABLE notes (
    kind        TEXT NOT NULL,
    owner       TEXT NOT NULL,
    name        TEXT NOT NULL,
    value       TEXT NOT NULL,
    expires_at  INTEGER NOT NULL,
    PRIMARY KEY (kind, owner, name)
) WITHOUT ROWID;

CREATE INDEX notes_by_expiry ON notes (expires_at);
CREATE INDEX notes_by_name ON notes (kind, name);
