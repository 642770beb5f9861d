"""Conversations on SQLite. Implements `library.store.ConversationStore`."""

from collections.abc import Sequence

import apsw
import orjson

from holdfast.clock import from_text
from holdfast.errors import ConversationNotFound
from holdfast.library.conversation import Conversation, Turn
from holdfast.library.selection import Selection
from holdfast.library.store import ConversationSummary, Page
from holdfast.storage.sqlite.database import Database
from holdfast.storage.sqlite.queries import Row, Value, query, select_rows

_NO_END = 2**63 - 1
_ONLY_JOB = "AND job_id = :job_id"
_ONLY_IDS = "AND id IN (SELECT value FROM json_each(:ids))"


class SqliteConversations:
    """Reads conversations."""

    def __init__(self, *, database: Database) -> None:
        self._database = database

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
        values = {**_values(owner, selection), "before": _NO_END if before is None else before, "limit": limit}
        text = _selecting("conversation_summaries", selection)
        return await self._database.read(lambda c: [ConversationSummary(*row) for row in c.execute(text, values)])

    async def page(self, owner: str, selection: Selection, *, after: int, limit: int) -> Page:
        values = {**_values(owner, selection), "after": after, "limit": limit}
        text = _selecting("conversations_after", selection)

        def do(connection: apsw.Connection) -> Page:
            rows: list[Row] = connection.execute(text, values).fetchall()
            return Page(_with_turns(connection, owner, rows), rows[-1][0] if len(rows) == limit else None)

        return await self._database.read(do)

    async def count(self, owner: str, selection: Selection) -> int:
        values = _values(owner, selection)
        text = _selecting("count_conversations", selection)
        return await self._database.read(lambda c: int(c.execute(text, values).get))


def _selecting(name: str, selection: Selection) -> str:
    conditions = [_ONLY_JOB] if selection.job_id is not None else []
    if selection.ids:
        conditions.append(_ONLY_IDS)
    return query(name).replace("{selected}", "\n   ".join(conditions))


def _values(owner: str, selection: Selection) -> dict[str, Value]:
    return {"owner": owner, "job_id": selection.job_id, "ids": orjson.dumps(selection.ids).decode()}


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
