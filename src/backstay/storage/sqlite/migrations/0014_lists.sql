-- Imports can be selected, and lists are filtered and sorted by an index that is filled after the commits.

-- The keys of the conversations that an import stored; a range without keys if it stored none.
CREATE TABLE imports (
    number     INTEGER PRIMARY KEY AUTOINCREMENT,    -- in the order of the imports
    owner      TEXT NOT NULL,
    id         TEXT NOT NULL,
    first_key  INTEGER NOT NULL,
    last_key   INTEGER NOT NULL
);

CREATE INDEX imports_by_id ON imports (owner, id);

-- What a conversation is filtered and sorted by. It repeats columns of the conversation, so that a filter reads one
-- narrow table. An entry is exact: a trigger deletes it when its conversation or a turn of it changes.
CREATE TABLE conversation_index (
    owner       TEXT NOT NULL,
    key         INTEGER NOT NULL,                    -- of the conversation
    turns       INTEGER NOT NULL,
    characters  INTEGER NOT NULL,
    has_tools   INTEGER NOT NULL,
    model       TEXT,
    job_id      TEXT,
    persona     TEXT,
    created_at  TEXT NOT NULL,
    PRIMARY KEY (owner, key)
) WITHOUT ROWID;

CREATE INDEX conversation_index_by_turns ON conversation_index (owner, turns);
CREATE INDEX conversation_index_by_characters ON conversation_index (owner, characters);
CREATE INDEX conversation_index_by_model ON conversation_index (owner, model, key, turns, characters, has_tools);

-- The conversations that have no entry yet. A range up to the largest key includes the conversations to come, so that
-- storing one writes nothing here.
CREATE TABLE unindexed_conversations (
    owner      TEXT NOT NULL,
    last_key   INTEGER NOT NULL,
    first_key  INTEGER NOT NULL,
    PRIMARY KEY (owner, last_key, first_key)
) WITHOUT ROWID;

INSERT INTO unindexed_conversations (owner, first_key, last_key)
SELECT DISTINCT owner, 0, 9223372036854775807
  FROM conversations;

CREATE TRIGGER index_stored_conversation AFTER INSERT ON conversations
WHEN NOT EXISTS (SELECT 1
                   FROM unindexed_conversations
                  WHERE owner = NEW.owner AND last_key = 9223372036854775807 AND first_key <= NEW.key)
BEGIN
    DELETE FROM conversation_index WHERE owner = NEW.owner AND key = NEW.key;  -- of a row that was replaced
    INSERT OR IGNORE INTO unindexed_conversations (owner, first_key, last_key)
    SELECT NEW.owner, NEW.key,
           CASE WHEN EXISTS (SELECT 1 FROM conversation_index WHERE owner = NEW.owner AND key > NEW.key)
                  OR EXISTS (SELECT 1
                               FROM unindexed_conversations
                              WHERE owner = NEW.owner AND last_key = 9223372036854775807)
                THEN NEW.key
                ELSE 9223372036854775807
           END;
END;

CREATE TRIGGER index_changed_conversation AFTER UPDATE ON conversations
WHEN OLD.owner <> NEW.owner OR OLD.key <> NEW.key
  OR EXISTS (SELECT 1 FROM conversation_index WHERE owner = OLD.owner AND key = OLD.key)
BEGIN
    DELETE FROM conversation_index WHERE owner = OLD.owner AND key = OLD.key;
    INSERT OR IGNORE INTO unindexed_conversations (owner, first_key, last_key)
    SELECT NEW.owner, NEW.key, NEW.key
     WHERE NOT EXISTS (SELECT 1
                         FROM unindexed_conversations
                        WHERE owner = NEW.owner AND last_key = 9223372036854775807 AND first_key <= NEW.key);
END;

CREATE TRIGGER index_deleted_conversation AFTER DELETE ON conversations
BEGIN
    DELETE FROM conversation_index WHERE owner = OLD.owner AND key = OLD.key;
END;

CREATE TRIGGER index_stored_turn AFTER INSERT ON turns
WHEN EXISTS (SELECT 1 FROM conversation_index WHERE owner = NEW.owner AND key = NEW.conversation_key)
BEGIN
    DELETE FROM conversation_index WHERE owner = NEW.owner AND key = NEW.conversation_key;
    INSERT OR IGNORE INTO unindexed_conversations (owner, first_key, last_key)
    VALUES (NEW.owner, NEW.conversation_key, NEW.conversation_key);
END;

CREATE TRIGGER index_changed_turn AFTER UPDATE ON turns
WHEN EXISTS (SELECT 1
               FROM conversation_index
              WHERE owner IN (OLD.owner, NEW.owner) AND key IN (OLD.conversation_key, NEW.conversation_key))
BEGIN
    INSERT OR IGNORE INTO unindexed_conversations (owner, first_key, last_key)
    SELECT owner, key, key
      FROM conversation_index
     WHERE owner IN (OLD.owner, NEW.owner) AND key IN (OLD.conversation_key, NEW.conversation_key);
    DELETE FROM conversation_index
     WHERE owner IN (OLD.owner, NEW.owner) AND key IN (OLD.conversation_key, NEW.conversation_key);
END;

CREATE TRIGGER index_deleted_turn AFTER DELETE ON turns
WHEN EXISTS (SELECT 1 FROM conversation_index WHERE owner = OLD.owner AND key = OLD.conversation_key)
BEGIN
    DELETE FROM conversation_index WHERE owner = OLD.owner AND key = OLD.conversation_key;
    INSERT OR IGNORE INTO unindexed_conversations (owner, first_key, last_key)
    VALUES (OLD.owner, OLD.conversation_key, OLD.conversation_key);
END;
