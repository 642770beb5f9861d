"""Tool calls, reasoning, parts and tools from a processor to the library, through a backup, and back."""

import asyncio

import pytest

from backstay import Backstay, Conversation, Turn
from support.data.conversations import conversation, with_tools
from support.stores.library import ALL
from support.stores.sql import ask

pytestmark = pytest.mark.promise("K1", "K2")

_MADE = {"tools": with_tools(), "plain": conversation()}


async def _write(item):
    return _MADE[item.id]


@pytest.fixture
async def library(path):
    """Open a library with a conversation that has every field of turns, and a plain one."""
    async with Backstay.open(path) as backstay:
        await backstay.batches.run("job", [{"id": name, "topic": "Paris"} for name in _MADE], _write)
        yield backstay


async def _stored(backstay):
    """Return what the library has of each item's conversation: its turns, metadata and tools."""
    records = [record async for record in backstay.conversations.export(ALL)]
    return {record.item_id: (list(record.turns), dict(record.metadata), list(record.tools)) for record in records}


def _expected():
    origin = {"generation": {"processor": "caller", "attempt": 1}}
    return {name: (list(made.turns), {**origin, **made.metadata}, list(made.tools)) for name, made in _MADE.items()}


async def _rows(backstay):
    rows = "SELECT t.sequence, t.role, t.content, t.metadata, c.metadata, c.id FROM turns t JOIN conversations c"
    statement = f"{rows} ON c.key = t.conversation_key ORDER BY c.key, t.sequence"
    return await asyncio.to_thread(ask, backstay.settings.database_url, statement)


async def test_what_a_processor_returns_is_stored(library):
    """A conversation of a processor comes back equal, with its tool calls, reasoning, parts, names and tools."""
    assert await _stored(library) == _expected()


async def test_fields_are_restored_from_a_backup(library):
    """Fields of turns are the same after a backup, its verification, a delete and a restore, and so is every row."""
    rows = await _rows(library)

    deleted = await library.conversations.delete(ALL)
    gone = await _rows(library)
    verified = await library.backups.verify(deleted.backup_id)
    restored = await library.backups.restore(deleted.backup_id)

    assert (gone, verified.conversations, restored.restored) == ([], 2, 2)
    assert await _stored(library) == _expected()
    assert await _rows(library) == rows


async def test_a_lost_field_is_detected(library):
    """Control: a library that lost the metadata of its turns after the restore differs in turns and in rows."""
    rows = await _rows(library)
    deleted = await library.conversations.delete(ALL)
    await library.backups.restore(deleted.backup_id)

    await asyncio.to_thread(ask, library.settings.database_url, "UPDATE turns SET metadata = '{}'")

    assert await _stored(library) != _expected()
    assert await _rows(library) != rows
    assert (await _stored(library))["plain"] == _expected()["plain"]


async def test_fields_that_are_not_stored_are_detected(path, monkeypatch):
    """Control: if turns were stored with their metadata alone, what a processor returns would not come back."""
    monkeypatch.setattr(Turn, "stored_metadata", lambda turn: dict(turn.metadata or {}))
    monkeypatch.setattr(Conversation, "stored_metadata", lambda record: dict(record.metadata))
    async with Backstay.open(path) as backstay:
        await backstay.batches.run("job", [{"id": name, "topic": "Paris"} for name in _MADE], _write)

        stored = await _stored(backstay)

    assert stored["tools"] != _expected()["tools"]
    assert stored["plain"] == _expected()["plain"]
