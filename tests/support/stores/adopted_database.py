"""A database in which an app's own tables are adopted as conversations and turns."""

from functools import cache

import psycopg

from backstay.library.adoption_request import AdoptionRequest
from backstay.storage.postgres.address import ServerAddress
from backstay.storage.postgres.adoption import adopt
from support.stores import postgres

# Texts are held as texts, so that whatever our own tables take, these take as well.
_APP = """
CREATE TABLE public.chats (
    chat_id  text PRIMARY KEY,
    account  text NOT NULL,
    title    text,
    summary  text,
    extra    json,
    made     timestamptz NOT NULL DEFAULT now(),
    changed  timestamptz NOT NULL DEFAULT now(),
    stars    smallint NOT NULL DEFAULT 3,
    length   integer GENERATED ALWAYS AS (length(title)) STORED
);
CREATE TABLE public.messages (
    chat      text NOT NULL REFERENCES public.chats ON DELETE CASCADE,
    position  integer NOT NULL,
    sender    text NOT NULL,
    body      text,
    seen      boolean NOT NULL DEFAULT FALSE,
    PRIMARY KEY (chat, position)
);
"""
_WANTED = AdoptionRequest(
    "public.chats",
    "public.messages",
    {
        "id": "chat_id",
        "owner": "account",
        "topic": "title",
        "content": "summary",
        "metadata": "extra",
        "created_at": "made",
        "updated_at": "changed",
        "turns.sequence": "position",
        "turns.role": "sender",
        "turns.content": "body",
    },
)


HANGING = """
SET LOCAL search_path = public;
CREATE TABLE tags (chat text REFERENCES chats ON DELETE CASCADE, tag text, at timestamptz DEFAULT now(),
    PRIMARY KEY (chat, tag));
INSERT INTO tags (chat, tag) SELECT chat_id, 'red' FROM chats;
CREATE TABLE seen (id serial PRIMARY KEY, chat text, position integer, by text,
    FOREIGN KEY (chat, position) REFERENCES messages ON DELETE CASCADE);
INSERT INTO seen (chat, position, by) SELECT chat, position, 'Ann' FROM messages;
ALTER TABLE seen ADD COLUMN best text REFERENCES chats ON DELETE SET NULL;
UPDATE seen SET best = (SELECT min(chat_id) FROM chats) WHERE id % 5 = 0;
"""
"""Makes tables of the app's that hang on theirs, and fills them."""


def fresh_database() -> str:
    """Create such a database, and return its URL. The caller calls `postgres.drop_database`."""
    return postgres.copied_database(_template())


@cache
def _template() -> str:
    url = postgres.fresh_database()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(_APP)
    adopt(ServerAddress.from_url(url), postgres.SCHEMA, _WANTED, "local")
    return url
