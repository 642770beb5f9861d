-- What curators add to conversations: a review of each, and the versions that edits replaced. It goes with its conversation.

CREATE TABLE conversation_reviews (
    conversation_key  INTEGER PRIMARY KEY REFERENCES conversations (key) ON DELETE CASCADE,
    owner             TEXT NOT NULL,
    status            TEXT CHECK (status IN ('kept', 'rejected')),   -- NULL: unreviewed
    rating            INTEGER CHECK (rating BETWEEN 1 AND 5),
    note              TEXT,
    reviewer          TEXT,                          -- who changed it last …
    reviewed_at       TEXT NOT NULL                  -- … and when
);

CREATE INDEX conversation_reviews_by_status ON conversation_reviews (owner, status, conversation_key) WHERE status IS NOT NULL;
CREATE INDEX conversation_reviews_by_rating ON conversation_reviews (owner, rating, conversation_key) WHERE rating IS NOT NULL;

CREATE TABLE conversation_tags (
    conversation_key  INTEGER NOT NULL REFERENCES conversation_reviews (conversation_key) ON DELETE CASCADE,
    tag               TEXT NOT NULL,
    owner             TEXT NOT NULL,
    PRIMARY KEY (conversation_key, tag)
) WITHOUT ROWID;

CREATE INDEX conversation_tags_by_tag ON conversation_tags (owner, tag, conversation_key);

CREATE TABLE conversation_versions (
    conversation_key  INTEGER NOT NULL REFERENCES conversations (key) ON DELETE CASCADE,
    number            INTEGER NOT NULL,              -- from 1, which is the conversation as it was first stored
    owner             TEXT NOT NULL,
    line              TEXT NOT NULL,                 -- the conversation as a backup holds it
    editor            TEXT,                          -- who replaced it …
    replaced_at       TEXT NOT NULL,                 -- … and when
    PRIMARY KEY (conversation_key, number)
);

CREATE INDEX conversation_versions_by_owner ON conversation_versions (owner, conversation_key) WHERE number = 1;

-- The digest of a conversation's review and versions in the backup; NULL without any. What was changed between the snapshot
-- and the delete is in `late_curation`, which a restore uses instead of what the file holds.
ALTER TABLE backup_items ADD COLUMN curation_digest BLOB;
ALTER TABLE backup_items ADD COLUMN late_curation TEXT;
