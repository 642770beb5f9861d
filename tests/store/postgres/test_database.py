"""Transactions on a server: atomic, durable, repeated after conflicts, and never left open."""

import asyncio
import threading
from contextlib import suppress

import psycopg
import pytest
from psycopg import errors as pg

from backstay.errors import OutcomeRefused, SchemaTooNew, StorageError, StoreClosed
from backstay.storage.postgres import database as database_module
from support.harness.async_waiting import until
from support.harness.waiting import PATIENCE_SECONDS, locks_waited_for
from support.stores.sql import ask


def _note(name):
    return lambda s: s.connection.execute("INSERT INTO backstay.meta VALUES (%s, 'x')", (name,)) and None


def _notes(session):
    rows = session.connection.execute("SELECT name FROM backstay.meta WHERE value = 'x' ORDER BY name").fetchall()
    return [name for (name,) in rows]


def _setting(name):
    return lambda s: s.connection.execute("SELECT current_setting(%s)", (name,)).fetchone()[0]


async def test_a_write_is_on_disk_when_it_returns(database, url):
    """A write is on disk when it returns, whatever the server, the role or the database have set."""
    ask(url, "ALTER DATABASE " + url.rpartition("/")[2] + " SET synchronous_commit = off")

    assert await database.write(_setting("synchronous_commit")) == "on"
    assert await database.write(_setting("transaction_isolation")) == "read committed"
    await database.write(_note("a"))

    assert ask(url, "SELECT name FROM meta WHERE value = 'x'") == [("a",)]


async def test_nothing_is_left_in_the_session(database):
    """A transaction leaves no prepared statement and no setting in its session, which a pooler may share."""
    before = await database.read(_setting("statement_timeout"))

    def many(session):
        for _ in range(20):
            session.rows("jobs", {"owner": "a", "incomplete": True, "before": 1, "limit": 1})

    await database.write(many)
    await database.write(lambda s: s.connection.execute("SET LOCAL statement_timeout = 1234") and None)
    prepared = await database.write(lambda s: s.connection.execute("SELECT * FROM pg_prepared_statements").fetchall())

    assert prepared == []
    assert await database.read(_setting("statement_timeout")) == before


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt(), pg.SyntaxError("no")], ids=["a", "b", "c"])
async def test_write_that_raises_leaves_nothing(database, error):
    """A write that raises stores nothing, and the next one uses the same connection."""

    def breaks(session):
        _note("half")(session)
        raise error

    with pytest.raises(BaseException, match=r"no|^$|syntax error"):
        await database.write(breaks)
    await database.write(_note("whole"))

    assert await database.read(_notes) == ["whole"]


@pytest.mark.parametrize("error", [pg.SerializationFailure, pg.DeadlockDetected])
async def test_a_transaction_in_conflict_is_run_again(database, error):
    """A transaction that conflicts with another runs again from its beginning, and stores nothing twice."""
    runs = []

    def meets(session):
        runs.append(1)
        _note(f"run {len(runs)}")(session)
        if len(runs) < 3:
            raise error("met another")
        return len(runs)

    assert await database.write(meets) == 3
    assert await database.read(_notes) == ["run 3"]


async def test_two_that_deadlock_both_end_well(database):
    """Two transactions in a deadlock both succeed: the server ends one of them, and it runs again."""
    await database.write(lambda s: [_note(name)(s) for name in "ab"] and None)
    both = threading.Barrier(2)

    def take(first, second):
        def update_both(session):
            update = "UPDATE backstay.meta SET value = value WHERE name = %s"
            session.connection.execute(update, (first,))
            with suppress(threading.BrokenBarrierError):  # the one that runs again is alone
                both.wait(PATIENCE_SECONDS)
                both.abort()
            session.connection.execute(update, (second,))
            return first

        return update_both

    results = await asyncio.gather(database.write(take("a", "b")), database.write(take("b", "a")))

    assert results == ["a", "b"]


async def test_errors_of_values_do_not_quote_them(database):
    """The error for a refused value says what is wrong with it, and does not quote it."""
    await database.write(_note("a"))

    with pytest.raises(OutcomeRefused) as caught:
        await database.write(_note("a"))

    assert "requires unique values" in caught.value.message


async def test_a_text_that_is_too_long_is_named_as_such(database):
    """The error for a text that is too long says so, even if the statement contains misleading words."""

    def put(session):
        session.connection.execute("CREATE TEMPORARY TABLE short (a varchar(3)) ON COMMIT DROP")
        session.connection.execute("DO $$ BEGIN INSERT INTO short SELECT coalesce(NULL, 'a secret'); END $$")

    with pytest.raises(OutcomeRefused, match="a text is longer than its column takes") as caught:
        await database.write(put)

    assert "secret" not in caught.value.message


async def test_a_failed_transaction_does_not_count_as_committed(database):
    """A function that swallows an error of the server raises, since COMMIT then rolls back silently."""

    def swallows(session):
        _note("a")(session)
        with pytest.raises(psycopg.Error):
            session.connection.execute("SELECT 1/0")

    with pytest.raises(StorageError, match="rolled back a transaction"):
        await database.write(swallows)

    assert await database.read(_notes) == []


async def test_a_write_of_a_cancelled_caller_is_finished(database):
    """A write whose caller is cancelled runs to its end, and leaves no transaction open."""
    began, may_end = threading.Event(), threading.Event()

    def slow(session):
        began.set()
        may_end.wait(PATIENCE_SECONDS)
        _note("slow")(session)

    task = asyncio.create_task(database.write(slow))
    await until(began.is_set)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    may_end.set()
    await asyncio.to_thread(database.stop)

    assert ask(str(_url(database)), "SELECT name FROM meta WHERE value = 'x'") == [("slow",)]


@pytest.mark.parametrize("kind", ["write", "read"])
async def test_a_blocked_write_of_a_cancelled_caller_is_given_up(database, url, monkeypatch, kind):
    """A closing database gives up writes that wait for a lock once their callers have left."""
    monkeypatch.setattr(database_module, "PATIENCE_SECONDS", 0.3)
    with psycopg.connect(url) as other:
        other.execute("LOCK TABLE backstay.meta")
        task = asyncio.create_task(getattr(database, kind)(_note("late") if kind == "write" else _notes))
        await until(lambda: locks_waited_for(url))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

        await asyncio.wait_for(asyncio.to_thread(database.stop), PATIENCE_SECONDS)

        # The server takes a moment to notice that its client has gone.
        await until(lambda: not locks_waited_for(url))

    assert ask(url, "SELECT count(*) FROM meta WHERE value = 'x'") == [(0,)]


async def test_an_awaited_write_is_not_given_up(database, url, monkeypatch):
    """A closing database finishes a write whose caller waits for it, however long it takes."""
    monkeypatch.setattr(database_module, "PATIENCE_SECONDS", 0.1)
    checks, is_reachable = [], database._is_reachable
    monkeypatch.setattr(database, "_is_reachable", lambda: checks.append(1) or is_reachable())
    with psycopg.connect(url) as other:
        other.execute("LOCK TABLE backstay.meta")
        task = asyncio.create_task(database.write(_note("late")))
        await until(lambda: locks_waited_for(url))
        stopping = asyncio.create_task(asyncio.to_thread(database.stop))
        await until(lambda: len(checks) >= 3)  # it has waited three times already
    await asyncio.gather(task, stopping)

    assert ask(url, "SELECT count(*) FROM meta WHERE value = 'x'") == [(1,)]


def _url(database):
    parameters = database.address.parameters
    return f"postgresql://{parameters['user']}:{parameters['password']}@{parameters['host']}:{parameters['port']}/{parameters['dbname']}"


async def test_read_sees_one_snapshot_and_cannot_write(database):
    """A read sees one snapshot, without later writes, and cannot write."""
    read_once, written = threading.Event(), threading.Event()

    def twice(session):
        first = _notes(session)
        read_once.set()
        written.wait(PATIENCE_SECONDS)
        return first, _notes(session)

    reading = asyncio.create_task(database.read(twice))
    await until(read_once.is_set)
    await database.write(_note("meanwhile"))
    written.set()

    assert await reading == ([], [])
    with pytest.raises(StorageError, match="is read-only"):
        await database.read(_note("a"))
    assert await database.read(_notes) == ["meanwhile"]


async def test_a_schema_that_was_moved_is_not_written(database, url):
    """A write to a schema that a newer Backstay has migrated meanwhile is refused."""
    await database.write(_note("before"))
    ask(url, "INSERT INTO migrations (number) VALUES (99)")

    with pytest.raises(SchemaTooNew, match=r"or a newer one$"):
        await database.write(_note("after"))

    assert await database.read(_notes) == ["before"]


async def test_closed_database_says_so(database):
    """A closed database refuses work; closing it twice is allowed, and its receipts are removed."""
    await database.write(_note("a"))
    await asyncio.gather(*(asyncio.to_thread(database.stop) for _ in range(4)))

    with pytest.raises(StoreClosed, match="use it within `async with`"):
        await database.write(_note("b"))
    with pytest.raises(StoreClosed):
        await database.read(_notes)
    assert ask(_url(database), "SELECT count(*) FROM receipts") == [(0,)]


async def test_a_lost_server_is_reported_after_a_while(database, monkeypatch):
    """A lost server raises StoreUnavailable after a while, without the password in the message."""
    from backstay.storage.postgres.address import ServerAddress
    from backstay.storage.postgres.database import PostgresDatabase

    monkeypatch.setattr(database_module, "PATIENCE_SECONDS", 0.3)
    gone = PostgresDatabase(ServerAddress.from_url("postgresql://me:hunter2@127.0.0.1:1/app"), schema="backstay")
    gone.start(schema_version=1, collation="default")
    try:
        with pytest.raises(StorageError, match=r"127.0.0.1:1/app cannot be reached") as caught:
            await gone.write(_note("a"))
    finally:
        gone.stop()

    assert "hunter2" not in str(caught.value) + repr(gone.address)
