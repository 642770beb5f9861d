"""Random tables of an app, adopted, deleted from, restored and given back, are as they were."""

import asyncio
import tempfile

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, event, given, settings
from hypothesis import strategies as st

from backstay import Backstay, Selection
from backstay.errors import AdoptedTableNotWritable, DeleteBlocked, OutcomeRefused
from durability.model import _random_apps
from support.harness.sampling import FULL
from support.stores import postgres
from support.stores.library import ALL
from support.stores.sql import ask

_OPTIONS = settings(
    max_examples=600 if FULL else 6, deadline=None, database=None, derandomize=not FULL,
    suppress_health_check=list(HealthCheck), phases=[Phase.generate], print_blob=True,
)  # fmt: skip
pytestmark = [pytest.mark.promise("K1", "K2"), pytest.mark.sweep]


@given(app=_random_apps.apps(), indexes=st.sets(st.integers(0, 6), min_size=1))
@_OPTIONS
def test_there_and_back(app, indexes):
    """An app's random tables are unchanged after they were adopted, deleted from, restored and given back."""
    postgres.need_a_server()
    url = postgres.fresh_database()
    try:
        with tempfile.TemporaryDirectory() as safe, pytest.MonkeyPatch.context() as patched:
            patched.setenv("BACKUP_DIRECTORY", safe)
            _create(url, app)
            asyncio.run(_there_and_back(url, app, indexes))
    finally:
        postgres.drop_database(url)


def _create(url, app):
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in app.statements:
            connection.execute(statement)


def _rows(url, app):
    return {
        name: [row for (row,) in ask(url, f"SELECT t::text FROM public.{name} AS t ORDER BY 1")] for name in app.tables
    }


async def _there_and_back(url, app, indexes):
    before = _rows(url, app)
    for owner in app.owners:
        closed = Backstay.open(url, owner=owner)
        if owner == app.owners[0]:
            await closed.adopt("public.chats", "public.messages", app.columns)
            assert _rows(url, app) == before
        async with closed as backstay:
            listed = await backstay.conversations.list(limit=100)
            ids = tuple(conversation.id for index, conversation in enumerate(listed) if index in indexes)
            for selection in (Selection(ids=ids), ALL) if ids else ():
                await _delete_and_restore(url, app, backstay, selection, before)
            await _store(url, app, backstay, before)
    await Backstay.open(url).unadopt()
    assert _rows(url, app) == before


async def _delete_and_restore(url, app, backstay, selection, before):
    try:
        deleted = await backstay.conversations.delete(selection)
    except DeleteBlocked as blocked:
        event(blocked.context["obstacles"][0]["kind"])
        return
    except OutcomeRefused:
        event("refused by the server")
        (unfinished,) = await backstay.backups.with_unfinished_delete()
        await backstay.backups.restore(unfinished.id)
        assert _rows(url, app) == before
        return
    assert deleted.changed == 0
    remaining = _rows(url, app)
    assert len(before["chats"]) - len(remaining["chats"]) == deleted.deleted
    restored = await backstay.backups.restore(deleted.backup_id)
    assert restored.related_not_restored == 0
    assert _rows(url, app) == before
    again = await backstay.backups.restore(deleted.backup_id)
    assert again.identical == deleted.deleted
    event("there and back")


async def _store(url, app, backstay, before):
    """Generate, check and delete conversations, and check that no row of the app changed."""
    try:
        result = await backstay.batches.run(
            "new", [{"id": str(n), "topic": f"topic {n}"} for n in range(3)], "scripted"
        )
    except AdoptedTableNotWritable:
        event("not writable")
        return
    if result.failed:
        event("not stored")
    else:
        event("stored")
    stored = [conversation async for conversation in backstay.conversations.export(Selection(job_id="new"))]
    assert len(stored) == result.completed
    for conversation in stored:
        turns = conversation.turns
        assert [turn.role for turn in turns] == ["user", "assistant"] * (len(turns) // 2)
        assert "topic" in turns[0].content
    if stored:
        await backstay.conversations.delete(Selection(job_id="new"))
    assert _rows(url, app) == before
