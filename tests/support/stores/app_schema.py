"""Tables of an app next to Backstay's, which refer to conversations in every possible way."""

from pathlib import Path

from support.stores.sql import ask, is_server

_SQLITE = """
CREATE TABLE users (id TEXT PRIMARY KEY, name TEXT,
    latest INTEGER REFERENCES conversations ON DELETE SET NULL,
    home INTEGER DEFAULT NULL REFERENCES conversations (key) ON DELETE SET DEFAULT);
CREATE TABLE tags (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE);
CREATE TABLE chat_tags (chat INTEGER NOT NULL REFERENCES conversations (key) ON DELETE CASCADE,
    tag INTEGER NOT NULL REFERENCES tags, at REAL, PRIMARY KEY (chat, tag)) WITHOUT ROWID;
CREATE TABLE attachments (id INTEGER PRIMARY KEY, chat INTEGER NOT NULL, turn INTEGER NOT NULL, data BLOB,
    size INTEGER GENERATED ALWAYS AS (length(data)) STORED,
    FOREIGN KEY (chat, turn) REFERENCES turns (conversation_key, sequence) ON DELETE CASCADE);
CREATE TABLE ratings (id INTEGER PRIMARY KEY AUTOINCREMENT, "on" INTEGER REFERENCES attachments ON DELETE CASCADE,
    answers INTEGER REFERENCES ratings ON DELETE CASCADE, "a ""so"" b" TEXT, mood TEXT, price);
CREATE TABLE links (a INTEGER NOT NULL REFERENCES conversations ON DELETE CASCADE,
    b INTEGER REFERENCES conversations ON DELETE CASCADE, note TEXT);
CREATE TABLE log (what TEXT);
CREATE TRIGGER rating_gone AFTER DELETE ON ratings BEGIN INSERT INTO log VALUES ('gone ' || old.id); END;
ALTER TABLE conversations ADD COLUMN parent INTEGER REFERENCES conversations ON DELETE SET NULL;
ALTER TABLE turns ADD COLUMN best INTEGER REFERENCES ratings ON DELETE SET NULL;
"""
_POSTGRES = """
SET search_path = public;
CREATE TYPE mood AS ENUM ('fine', 'so "so"');
CREATE DOMAIN cents AS numeric(12, 4) CHECK (value > -1000);
CREATE TABLE users (id uuid PRIMARY KEY, name text,
    latest bigint REFERENCES backstay.conversations ON DELETE SET NULL,
    home bigint DEFAULT NULL REFERENCES backstay.conversations (key) ON DELETE SET DEFAULT);
CREATE TABLE tags (id serial PRIMARY KEY, name text UNIQUE);
CREATE TABLE chat_tags (chat bigint NOT NULL REFERENCES backstay.conversations (key) ON DELETE CASCADE,
    tag integer NOT NULL REFERENCES tags, at timestamptz, PRIMARY KEY (chat, tag));
CREATE TABLE attachments (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, chat bigint NOT NULL,
    turn integer NOT NULL, data bytea, size integer GENERATED ALWAYS AS (length(data)) STORED,
    FOREIGN KEY (chat, turn) REFERENCES backstay.turns (conversation_key, sequence) ON DELETE CASCADE);
CREATE TABLE ratings (id bigserial PRIMARY KEY, "on" integer REFERENCES attachments ON DELETE CASCADE,
    answers bigint REFERENCES ratings ON DELETE CASCADE, "a ""so"" b" text, mood mood, price cents);
CREATE TABLE links (a bigint NOT NULL REFERENCES backstay.conversations ON DELETE CASCADE,
    b bigint REFERENCES backstay.conversations ON DELETE CASCADE, note text);
CREATE TABLE log (what text);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN INSERT INTO public.log VALUES ('gone ' || old.id); RETURN NULL; END $$;
CREATE TRIGGER rating_gone AFTER DELETE ON ratings FOR EACH ROW EXECUTE FUNCTION note();
ALTER TABLE backstay.conversations ADD COLUMN parent bigint REFERENCES backstay.conversations ON DELETE SET NULL;
ALTER TABLE backstay.turns ADD COLUMN best bigint REFERENCES ratings ON DELETE SET NULL;
"""
# Conversations have the keys from 1 on, each with two turns.
_ROWS = """
INSERT INTO tags (name) VALUES ('red'), ('green'), ('blue');
INSERT INTO users (id, name, latest, home) VALUES
    ('00000000-0000-4000-8000-000000000001', 'Ann', 1, 2), ('00000000-0000-4000-8000-000000000002', 'Bob', 3, 3),
    ('00000000-0000-4000-8000-000000000003', 'Cid', NULL, 9);
INSERT INTO chat_tags (chat, tag) SELECT key, 1 FROM {ours}conversations;
INSERT INTO chat_tags (chat, tag) VALUES (1, 2), (1, 3), (4, 2);
INSERT INTO attachments (chat, turn, data) SELECT conversation_key, sequence, {blob} FROM {ours}turns
    WHERE conversation_key < 8;
INSERT INTO ratings ("on", answers, "a ""so"" b", mood) VALUES
    (1, NULL, 'o''ne', 'fine'), (1, 1, NULL, 'so "so"'), (NULL, 2, 'three', NULL), (3, NULL, 'four', 'fine'),
    (5, 4, 'five answers four in another', 'fine'), (NULL, NULL, 'on nothing', 'fine');
UPDATE ratings SET price = 12.5 WHERE id < 4;
INSERT INTO links (a, b, note) VALUES (1, 2, 'a'), (2, 1, 'b'), (2, 1, 'b'), (3, 9, 'c'), (5, NULL, 'd'), (9, 3, 'e');
UPDATE {ours}conversations SET parent = 9 WHERE key = 1;
UPDATE {ours}conversations SET parent = 1 WHERE key IN (2, 3);
UPDATE {ours}turns SET best = 2 WHERE conversation_key = 1 AND sequence = 2;
UPDATE {ours}turns SET best = 6 WHERE conversation_key = 2 AND sequence = 1;
"""
TABLES = ("users", "tags", "chat_tags", "attachments", "ratings", "links")


def make(database: Path | str) -> None:
    """Create the tables in a library of at least ten conversations, and insert rows."""
    server = is_server(database)
    for statement in (_POSTGRES if server else _SQLITE, _ROWS):
        text = statement.replace("{ours}", "backstay." if server else "")
        text = text.replace("{blob}", "decode('00ff', 'hex')" if server else "x'00ff'")
        ask(database, f"SET search_path = public; {text}" if server and statement is _ROWS else text)


def named(database: Path | str, table: str) -> str:
    """Return the name of a table in plans and backups."""
    return f"public.{table}" if is_server(database) else table


def rows(database: Path | str, table: str) -> list[str]:
    """Return the rows of a table as the database formats them, in a stable order."""
    if is_server(database):
        schema = "backstay" if table in ("conversations", "turns") else "public"
        return [text for (text,) in ask(database, f"SELECT t::text FROM {schema}.{table} AS t ORDER BY 1")]
    names = [name for (name,) in ask(database, f"SELECT name FROM pragma_table_xinfo('{table}')")]
    quoted = ", ".join('quote("' + name.replace('"', '""') + '")' for name in names)
    return sorted(str(row) for row in ask(database, f"SELECT {quoted} FROM {table}"))


def everything(database: Path | str) -> dict[str, list[str]]:
    """Return all rows of all tables."""
    return {table: rows(database, table) for table in ("conversations", "turns", *TABLES)}
