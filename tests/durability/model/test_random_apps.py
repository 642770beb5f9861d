"""Whatever tables an app has: adopted, deleted from, restored and given back, they are as they were."""

import asyncio
import tempfile

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, event, given, settings
from hypothesis import strategies as st

from backstay import Backstay, Selection
from backstay.errors import AdoptedTableNotWritable, DeleteBlocked, OutcomeRefused
from support import made_up_apps, postgres
from support.library import ALL
from support.sql import ask
from support.torture import FULL

_OPTIONS = settings(
    max_examples=600 if FULL else 6, deadline=None, database=None, derandomize=not FULL,
    suppress_health_check=list(HealthCheck), phases=[Phase.generate], print_blob=True,
)  # fmt: skip
pytestmark = [pytest.mark.promise("K1", "K2"), pytest.mark.sweep]


@given(app=made_up_apps.apps(), places=st.sets(st.integers(0, 6), min_size=1))
@_OPTIONS
def test_there_and_back(app, places):
    """Every row of every table, compared by the database itself; its sequences go on."""
    postgres.need_a_server()
    url = postgres.fresh_database()
    try:
        with tempfile.TemporaryDirectory() as safe, pytest.MonkeyPatch.context() as patched:
            patched.setenv("BACKUP_DIRECTORY", safe)
            _made(url, app)
            asyncio.run(_there_and_back(url, app, places))
    finally:
        postgres.drop_database(url)


def _made(url, app):
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in app.statements:
            connection.execute(statement)


def _rows(url, app):
    return {
        name: [row for (row,) in ask(url, f"SELECT t::text FROM public.{name} AS t ORDER BY 1")] for name in app.tables
    }


async def _there_and_back(url, app, places):
    before = _rows(url, app)
    for owner in app.owners:
        closed = Backstay.open(url, owner=owner)
        if owner == app.owners[0]:
            await closed.adopt("public.chats", "public.messages", app.columns)
            assert _rows(url, app) == before
        async with closed as backstay:
            here = await backstay.conversations.list(limit=100)
            ids = tuple(one.id for place, one in enumerate(here) if place in places)
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
        (unfinished,) = await backstay.backups.unfinished()
        await backstay.backups.restore(unfinished.id)
        assert _rows(url, app) == before
        return
    assert deleted.changed == 0
    gone = _rows(url, app)
    assert len(before["chats"]) - len(gone["chats"]) == deleted.deleted
    restored = await backstay.backups.restore(deleted.backup_id)
    assert restored.left == 0
    assert _rows(url, app) == before
    again = await backstay.backups.restore(deleted.backup_id)
    assert again.identical == deleted.deleted
    event("there and back")


async def _store(url, app, backstay, before):
    """What is generated is stored, and is gone without a trace when it is deleted."""
    try:
        result = await backstay.batches.run(
            "new", [{"id": str(n), "topic": f"topic {n}"} for n in range(3)], "scripted"
        )
    except AdoptedTableNotWritable:
        event("hindered")
        return
    if result.failed:
        event("not stored")
    else:
        event("stored")
    made = [one async for one in backstay.conversations.export(Selection(job_id="new"))]
    assert len(made) == result.completed
    for one in made:
        assert [turn.role for turn in one.turns] == ["user", "assistant"] * (len(one.turns) // 2)
        assert "topic" in one.turns[0].content
    if made:
        await backstay.conversations.delete(Selection(job_id="new"))
    assert _rows(url, app) == before
