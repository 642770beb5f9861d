"""Conversations on SQLite. Implements `library.store.ConversationStore`."""

from collections.abc import Callable, Sequence

import apsw
import orjson

from holdfast.clock import Clock, from_text
from holdfast.errors import ConversationNotFound
from holdfast.library.conversation import Conversation, Turn
from holdfast.library.imports.incoming import Imported, OnClash
from holdfast.library.imports.source import ImportSource
from holdfast.library.selection import Selection
from holdfast.library.store import ConversationSummary, Page
from holdfast.storage.sqlite.database import Database
from holdfast.storage.sqlite.importing import Importing
from holdfast.storage.sqlite.queries import Row, query, select_rows
from holdfast.storage.sqlite.selecting import selecting, values_of
from holdfast.storage.sqlite.times import now_micros

_NO_END = 2**63 - 1


class SqliteConversations:
    """Conversations."""

    def __init__(self, *, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def conversation(self, owner: str, conversation_id: str) -> Conversation:
        def do(connection: apsw.Connection) -> Conversation:
            values = {"owner": owner, "id": conversation_id}
            rows = connection.execute(query("conversation"), values).fetchall()
            if not rows:
                raise ConversationNotFound(
                    f"There is no conversation {conversation_id!r}; `holdfast conversations list` shows all",
                    conversation_id=conversation_id,
                )
            return _with_turns(connection, owner, rows)[0]

        return await self._database.read(do)

    async def summaries(
        self, owner: str, selection: Selection, *, before: int | None, limit: int
    ) -> Sequence[ConversationSummary]:
        values = {**values_of(owner, selection), "before": _NO_END if before is None else before, "limit": limit}

        def do(connection: apsw.Connection) -> Sequence[ConversationSummary]:
            text = selecting(connection, "conversation_summaries", selection)
            return [ConversationSummary(*row) for row in connection.execute(text, values)]

        return await self._database.read(do)

    async def page(self, owner: str, selection: Selection, *, after: int, limit: int) -> Page:
        values = {**values_of(owner, selection), "after": after, "limit": limit}

        def do(connection: apsw.Connection) -> Page:
            text = selecting(connection, "conversations_after", selection)
            rows: list[Row] = connection.execute(text, values).fetchall()
            return Page(_with_turns(connection, owner, rows), rows[-1][0] if len(rows) == limit else None)

        return await self._database.read(do)

    async def count(self, owner: str, selection: Selection) -> int:
        def do(connection: apsw.Connection) -> int:
            text = selecting(connection, "count_conversations", selection)
            return int(connection.execute(text, values_of(owner, selection)).get)

        return await self._database.read(do)

    async def missing(self, owner: str, ids: Sequence[str], *, limit: int) -> Sequence[str]:
        values = {"owner": owner, "ids": orjson.dumps(list(ids)).decode(), "limit": limit}
        return await self._database.read(
            lambda c: [name for (name,) in c.execute(query("missing_conversations"), values)]
        )

    async def bring_in(
        self, owner: str, source: ImportSource, on_clash: OnClash, on_progress: Callable[[int], None]
    ) -> Imported:
        now = now_micros(self._clock)
        return await self._database.write(lambda c: Importing(c, owner, source, on_clash, now).do(on_progress))


def _with_turns(connection: apsw.Connection, owner: str, rows: Sequence[Row]) -> list[Conversation]:
    turns: dict[int, list[Turn]] = {row[0]: [] for row in rows}
    for key, turn_id, role, content, metadata in select_rows(connection, "turns_of", [(key,) for key in turns], owner):
        turns[key].append(Turn(role, content, turn_id, orjson.loads(metadata) if metadata else None))
    return [_conversation(row, turns[row[0]]) for row in rows]


def _conversation(row: Row, turns: list[Turn]) -> Conversation:
    _, conversation_id, topic, persona, content, metadata, job_id, item_id, created_at, updated_at = row
    return Conversation(
        turns,
        id=conversation_id,
        topic=topic,
        persona=persona,
        content=content,
        metadata=orjson.loads(metadata) if metadata else {},
        job_id=job_id,
        item_id=item_id,
        created_at=from_text(created_at),
        updated_at=from_text(updated_at),
    )
