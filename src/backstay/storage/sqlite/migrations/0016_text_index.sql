-- The texts of conversations can be searched by an index, which `backstay index build --text` creates.

-- Whether the text index has the text of this entry's conversation as it is now.
ALTER TABLE conversation_index ADD COLUMN has_text INTEGER NOT NULL DEFAULT 0;

-- The texts that the text index still has of conversations that were changed or deleted since. They are removed from it
-- behind the commit, and their last traces by a purge, which then removes these rows.
CREATE TABLE removed_texts (
    owner  TEXT NOT NULL,
    key    INTEGER NOT NULL,                         -- of the conversation
    state  TEXT NOT NULL DEFAULT 'indexed',          -- indexed, removed (but for traces), purging
    PRIMARY KEY (owner, key)
) WITHOUT ROWID;

CREATE TRIGGER index_removed_text AFTER DELETE ON conversation_index WHEN OLD.has_text
BEGIN
    INSERT OR REPLACE INTO removed_texts (owner, key) VALUES (OLD.owner, OLD.key);
END;
