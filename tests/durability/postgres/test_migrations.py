"""Migrations on a server: by many processes at once, by one that is killed, and never under a worker."""

import asyncio
import os
import re
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from backstay import Backstay, former_name
from backstay.errors import BackstayError, SchemaOutdated, SchemaTooNew, SettingsError
from backstay.storage.postgres.address import ServerAddress
from backstay.storage.postgres.schema_migration import migrate, migrations, plan
from support.data.conversations import items
from support.faults.postgres_proxy import Cut, Proxy
from support.faults.scene import last_words
from support.harness.sampling import FULL
from support.harness.waiting import locks_waited_for, until
from support.stores import postgres
from support.stores.postgres import SCHEMA
from support.stores.sql import ask

pytestmark = pytest.mark.promise("B4")

_KNOWN = migrations()[-1][0]
_NEWER = [*migrations(), (_KNOWN + 1, "CREATE TABLE {schema}.later (x integer)")]
_STARTERS = 8
_ROUNDS = 20 if FULL else 2


@pytest.fixture
def empty():
    """An empty database."""
    postgres.need_a_server()
    url = postgres.fresh_database(migrated=False)
    yield url
    postgres.drop_database(url)


def starting(url: str) -> subprocess.Popen[str]:
    environment = {"PATH": os.environ["PATH"], "BACKSTAY_DATABASE_URL": url}
    command = [sys.executable, "-m", "backstay", "migrate"]
    return subprocess.Popen(
        command, env=environment, cwd="/", stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def recorded(url: str) -> list[int]:
    return [number for (number,) in ask(url, "SELECT number FROM migrations ORDER BY number")]


def relations(url: str) -> list[str]:
    rows = ask(url, "SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace('backstay') ORDER BY relname")
    return [name for (name,) in rows]


# -- many, and one that is killed --------------------------------------------------------------------------------------


def test_many_starters_of_the_command(empty):
    """Of many concurrent commands one applies each migration, and the others find it applied."""
    starters = [starting(empty) for _ in range(_STARTERS)]

    outputs = [starter.communicate(timeout=120) for starter in starters]

    assert [starter.returncode for starter in starters] == [0] * _STARTERS, outputs
    did = [out for out, _ in outputs if out != f"The database is up to date (schema {_KNOWN}).\n"]
    steps = [re.fullmatch(r"(\d+) migrations? applied: schema (\d+) to (\d+)\.\n", out) for out in did]
    applied = [tuple(map(int, step.groups())) for step in steps if step]
    assert len(applied) == len(did), outputs
    # Each migration is a transaction of its own: between two of one starter, another may apply the one that is next.
    assert sum(count for count, _, _ in applied) == _KNOWN
    assert all(count <= after - before for count, before, after in applied)
    assert (min(before for _, before, _ in applied), max(after for _, _, after in applied)) == (0, _KNOWN)
    assert recorded(empty) == [number for number, _ in migrations()]


def test_a_library_of_the_former_name_on_the_server_is_refused(empty):
    """A database with a library of the former name is not migrated until that schema is renamed."""
    ask(empty, f"CREATE SCHEMA {former_name.NAME}")
    ask(empty, f"CREATE TABLE {former_name.NAME}.receipts (number bigint)")

    with pytest.raises(SettingsError, match="rename that schema to start a new library"):
        migrate(ServerAddress.from_url(empty), SCHEMA)
    assert ask(empty, "SELECT to_regnamespace(?) IS NULL", SCHEMA) == [(True,)]

    ask(empty, f"ALTER SCHEMA {former_name.NAME} RENAME TO old")
    assert migrate(ServerAddress.from_url(empty), SCHEMA).applied


@pytest.mark.sweep
@pytest.mark.parametrize("number", range(_ROUNDS))
def test_many_starters_of_several_migrations(empty, number):
    """Several migrations that many threads of one process start at once are each applied once."""
    known = [*_NEWER, (_KNOWN + 2, "CREATE TABLE {schema}.still_later (x integer)")]
    gate = threading.Barrier(_STARTERS)

    def start(_: int) -> list[int]:
        gate.wait()
        return list(migrate(ServerAddress.from_url(empty), SCHEMA, known).applied)

    with ThreadPoolExecutor(_STARTERS) as starters:
        applied = list(starters.map(start, range(_STARTERS)))

    assert sorted(number for numbers in applied for number in numbers) == [number for number, _ in known]
    assert recorded(empty) == [number for number, _ in known]


@pytest.mark.parametrize("cut", [Cut.BEFORE, Cut.HELD_THEN_UNDONE, Cut.AFTER])
def test_one_that_is_killed_half_way_and_another_after_it(empty, cut):
    """A killed migration is complete or absent, and the next process continues, after the server releases its locks."""
    dying: list[subprocess.Popen[str]] = []

    def die() -> Cut:
        dying[0].kill()
        return cut

    with Proxy(empty, plan=die) as proxy:
        dying.append(starting(proxy.url))
        dying[0].communicate(timeout=60)
        before = relations(empty)
        again = migrate(ServerAddress.from_url(empty), SCHEMA)

    numbers = [number for number, _ in migrations()]
    assert bool(before) == (cut is Cut.AFTER)
    assert list(again.applied) == (numbers[1:] if cut is Cut.AFTER else numbers)
    assert set(before) < set(relations(empty))
    assert recorded(empty) == numbers


def test_a_migration_that_fails_leaves_those_before_it(url):
    """A migration that fails is rolled back, and is applied once it is fixed; those before it stay."""
    broken = [*_NEWER, (_KNOWN + 2, "CREATE TABLE {schema}.half (x integer); SELECT 1 / 0")]
    mended = [*_NEWER, (_KNOWN + 2, "CREATE TABLE {schema}.whole (x integer)")]

    with pytest.raises(BackstayError):
        migrate(ServerAddress.from_url(url), SCHEMA, broken)
    between = (recorded(url)[-1], "half" in relations(url))
    would = plan(ServerAddress.from_url(url), SCHEMA, mended)
    migrate(ServerAddress.from_url(url), SCHEMA, mended)

    assert between == (_KNOWN + 1, False)
    assert list(would.applied) == [_KNOWN + 2]
    assert recorded(url)[-1] == _KNOWN + 2


# -- workers ----------------------------------------------------------------------------------------------------------


def test_nothing_is_migrated_under_a_worker(scene, url):
    """A migration under a worker is refused with the worker's name, and the worker finishes."""
    worker = scene.start(seconds=0.05)
    scene.until_called(worker, 40)

    with pytest.raises(SchemaOutdated, match=str(worker.pid)):
        migrate(ServerAddress.from_url(url), SCHEMA, _NEWER)
    code = scene.finish(worker)

    assert code == 0, scene.errors()
    assert recorded(url)[-1] == _KNOWN
    assert scene.broken() == []


def test_a_dead_worker_does_not_hold_it_up_and_the_older_version_is_then_refused(scene, url):
    """A dead worker does not block a migration, after which the older version changes nothing and says what to do."""
    worker = scene.start(seconds=0.05)
    scene.until_called(worker, 40)
    scene.kill(worker)

    migrate(ServerAddress.from_url(url), SCHEMA, _NEWER)
    calls = len(scene.witness().calls)
    code = scene.run()

    assert (code, last_words(scene.errors())) == (1, SchemaTooNew)
    assert "install the newest version" in scene.errors()
    assert len(scene.witness().calls) == calls
    assert scene.broken(at_rest=False) == []


@pytest.mark.parametrize("without", ["", "schema"], ids=["", "control"])
def test_a_schema_that_moves_under_a_worker(scene, url, without):
    """A worker whose schema was migrated all the same stops at its next commit; the control does not check."""
    scene.items = 200
    worker = scene.start(seconds=0.05, without=without)
    scene.until_called(worker, 40)

    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"INSERT INTO {SCHEMA}.migrations (number) VALUES ({_KNOWN + 1})")
    code = scene.finish(worker)

    (stored,) = ask(url, "SELECT count(*) FROM conversations")[0]
    assert (code == 0) == (stored == scene.items) == bool(without), scene.errors()
    if not without:
        assert last_words(scene.errors()) is SchemaTooNew
        assert scene.broken(crashes=1, at_rest=False) == []


@pytest.mark.parametrize("asks", [True, False], ids=["", "control"])
async def test_who_has_it_open_without_working_writes_nothing_after_a_migration(url, asks):
    """An idle older version does not block a migration, and its next write is refused."""
    async with Backstay.open(url) as older:
        migrate(ServerAddress.from_url(url), SCHEMA, _NEWER)
        if not asks:
            older._store._database._schema_version = _KNOWN + 1

        refusal = None
        try:
            await older.batches.create("job", items(3), "scripted")
        except SchemaTooNew as error:
            refusal = error.message

    assert (refusal is None) == (not asks)
    assert ask(url, "SELECT count(*) FROM jobs") == [(0 if asks else 1,)]


async def test_a_write_under_way_is_waited_for_and_the_next_one_is_refused(url):
    """A migration waits for a write in progress, and the next write of the older version is refused."""
    begun, go_on = threading.Event(), threading.Event()
    async with Backstay.open(url) as older:
        database = older._store._database

        def slow(session) -> None:
            session.connection.execute(f"INSERT INTO {SCHEMA}.meta VALUES ('slow', '')")
            begun.set()
            go_on.wait(120)

        writing = asyncio.create_task(database.write(slow))
        await asyncio.to_thread(begun.wait, 60)
        migrating = asyncio.create_task(asyncio.to_thread(migrate, ServerAddress.from_url(url), SCHEMA, _NEWER))
        await asyncio.to_thread(until, lambda: locks_waited_for(url) == 1)
        late = asyncio.create_task(database.write(lambda session: None))
        await asyncio.to_thread(until, lambda: locks_waited_for(url) == 2)
        waited = not migrating.done()
        go_on.set()
        await writing
        await migrating

        with pytest.raises(SchemaTooNew):
            await late

    assert waited
    assert recorded(url)[-1] == _KNOWN + 1
