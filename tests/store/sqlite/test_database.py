"""A database with one writer thread and a pool of readers."""

import asyncio
import threading
import time

import apsw
import pytest

from backstay.errors import OutcomeRefused, StoreBusy, StoreClosed
from backstay.storage.sqlite import connection
from backstay.storage.sqlite.connection import connect
from backstay.storage.sqlite.database import SqliteDatabase
from backstay.storage.sqlite.write_ahead_log import WriteAheadLog
from support.harness.async_waiting import until
from support.harness.waiting import PATIENCE_SECONDS


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "library.db"
    connection = connect(path, create=True)
    connection.execute("CREATE TABLE notes (name TEXT PRIMARY KEY) WITHOUT ROWID")
    connection.close()
    return path


@pytest.fixture
def database(path):
    database = SqliteDatabase(path)
    database.start(schema_version=0)
    yield database
    database.stop()


def _note(name):
    return lambda session: session.connection.execute("INSERT INTO notes VALUES (?)", (name,)) and None


def _notes(session):
    return _names(session.connection)


def _names(connection):
    return [name for (name,) in connection.execute("SELECT name FROM notes ORDER BY name")]


def _as_another_program(path):
    other = apsw.Connection(str(path))
    try:
        return _names(other)
    finally:
        other.close()


# -- writes ----------------------------------------------------------------------------------------


async def test_write_is_committed_when_it_returns(database, path):
    """Another program sees a write as soon as it returns."""
    returned = await database.write(lambda s: s.connection.execute("INSERT INTO notes VALUES ('a') RETURNING name").get)

    assert returned == "a"
    assert _as_another_program(path) == ["a"]


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt(), apsw.SQLError("no")], ids=repr)
async def test_write_that_raises_leaves_nothing(database, path, error):
    """A write that raises is rolled back, and the next write begins its own transaction."""

    def breaks(c):
        _note("half")(c)
        raise error

    with pytest.raises(BaseException, match=r"no|^$"):
        await database.write(breaks)
    await database.write(_note("whole"))

    assert _as_another_program(path) == ["whole"]


async def test_refused_value_is_translated(database, path):
    """A constraint error raises OutcomeRefused and rolls back the whole transaction."""
    await database.write(_note("a"))

    def twice(c):
        _note("b")(c)
        _note("a")(c)

    with pytest.raises(OutcomeRefused):
        await database.write(twice)

    assert _as_another_program(path) == ["a"]


async def test_writes_are_done_one_after_the_other(database):
    """Each of fifty concurrent writes sees what the ones before it wrote."""

    def count_up(c):
        number = len(_notes(c))
        time.sleep(0.001)
        _note(f"{number:03}")(c)

    await asyncio.gather(*(database.write(count_up) for _ in range(50)))

    assert await database.read(_notes) == [f"{number:03}" for number in range(50)]


async def test_write_holds_the_lock_from_its_beginning(database, path):
    """A write takes the write lock before it reads, so that no other program can write in between."""

    def read_only_at_first(c):
        seen = _notes(c)
        other = apsw.Connection(str(path))
        try:
            with pytest.raises(apsw.BusyError):
                other.execute("INSERT INTO notes VALUES ('other')")
        finally:
            other.close()
        _note("own")(c)
        return seen

    assert await database.write(read_only_at_first) == []

    assert _as_another_program(path) == ["own"]


async def test_cancelled_write_is_committed(database, path):
    """A write whose caller is cancelled is committed, and leaves no transaction open."""
    began, may_end = threading.Event(), threading.Event()

    def slow(c):
        began.set()
        may_end.wait(PATIENCE_SECONDS)
        _note("slow")(c)

    task = asyncio.create_task(database.write(slow))
    await until(began.is_set)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    may_end.set()
    await database.write(_note("next"))

    assert _as_another_program(path) == ["next", "slow"]


async def test_erasing_a_file_that_is_gone_raises_nothing(database, path):
    """Erasing reports that something is left, and raises nothing, if the file cannot be opened."""
    await database.write(_note("a"))
    path.unlink()

    assert await database.erase() is False


async def test_write_from_a_thread(database, path):
    """A thread outside the event loop can write and wait for the commit."""
    await asyncio.to_thread(database.write_blocking, _note("a"))

    assert _as_another_program(path) == ["a"]


# -- reads -----------------------------------------------------------------------------------------


async def test_read_sees_one_snapshot(database):
    """A read does not see what is written while it runs."""
    read_once, written = threading.Event(), threading.Event()

    def twice(c):
        first = _notes(c)
        read_once.set()
        written.wait(PATIENCE_SECONDS)
        return first, _notes(c)

    reading = asyncio.create_task(database.read(twice))
    await until(read_once.is_set)
    await database.write(_note("meanwhile"))
    written.set()

    assert await reading == ([], [])
    assert await database.read(_notes) == ["meanwhile"]


async def test_reads_run_during_a_write(database):
    """A read returns while a write is still running."""
    began, may_end = threading.Event(), threading.Event()

    def slow(c):
        _note("a")(c)
        began.set()
        may_end.wait(PATIENCE_SECONDS)

    writing = asyncio.create_task(database.write(slow))
    await until(began.is_set)
    seen = await database.read(_notes)
    may_end.set()
    await writing

    assert seen == []


async def test_read_cannot_write(database):
    """A write in a read transaction is refused and changes nothing."""
    with pytest.raises(Exception, match="cannot be written"):
        await database.read(_note("a"))

    assert await database.read(_notes) == []


async def test_reader_that_raised_is_used_again(database):
    """Reader connections stay usable after more failed reads than there are readers."""

    def breaks(_):
        raise ValueError("no")

    for _ in range(5):
        with pytest.raises(ValueError, match="no"):
            await database.read(breaks)

    assert await database.read(_notes) == []


# -- the end ---------------------------------------------------------------------------------------


async def test_stop_lets_queued_writes_finish(database, path):
    """Stopping the database finishes all writes that were submitted before."""
    may_end = threading.Event()
    writes = [asyncio.ensure_future(database.write(lambda c: may_end.wait(PATIENCE_SECONDS) and None))]
    writes += [asyncio.ensure_future(database.write(_note(str(n)))) for n in range(20)]
    await asyncio.sleep(0)  # lets each task queue its write
    stopping = asyncio.create_task(asyncio.to_thread(database.stop))
    await until(lambda: database._writer is None)
    assert not stopping.done()
    may_end.set()

    await stopping
    await asyncio.gather(*writes)

    assert len(_as_another_program(path)) == 20


async def test_closed_database_says_so(database):
    """A stopped database raises StoreClosed, and can be stopped again, also concurrently."""
    await asyncio.gather(*(asyncio.to_thread(database.stop) for _ in range(4)))
    database.stop()

    with pytest.raises(StoreClosed, match="use it within `async with`"):
        await database.write(_note("a"))
    with pytest.raises(StoreClosed):
        database.write_blocking(_note("a"))
    with pytest.raises(StoreClosed):
        await database.read(_notes)


async def test_database_that_was_never_started_says_so(path):
    """A database that was not started raises StoreClosed for reads and writes."""
    database = SqliteDatabase(path)

    with pytest.raises(StoreClosed):
        await database.read(_notes)
    with pytest.raises(StoreClosed):
        await database.write(_note("a"))
    database.stop()


async def test_nothing_is_left_next_to_a_closed_database(database, path):
    """Stopping a database checkpoints its log and deletes it, so that only the database file is left."""
    await database.write(_note("a"))
    database.stop()

    assert [entry.name for entry in path.parent.iterdir()] == ["library.db"]


# -- others ----------------------------------------------------------------------------------------


async def test_lock_of_another_program_is_reported(path, monkeypatch):
    """A write raises StoreBusy when another program holds the lock past the limit, and works once it is released."""
    monkeypatch.setattr(connection, "BUSY_MS", 50)
    database = SqliteDatabase(path)
    database.start(schema_version=0)
    other = apsw.Connection(str(path))
    other.execute("BEGIN IMMEDIATE")

    with pytest.raises(StoreBusy, match=r"is locked by another program; close that program, then try again$"):
        await database.write(_note("a"))
    assert await database.read(_notes) == []
    other.execute("ROLLBACK")
    other.close()
    await database.write(_note("a"))

    assert await database.read(_notes) == ["a"]
    database.stop()


async def test_lock_that_is_let_go_in_time_is_waited_for(database, path):
    """A write waits for a lock that another program releases within the limit."""
    other = apsw.Connection(str(path))
    other.execute("BEGIN IMMEDIATE")

    writing = asyncio.create_task(database.write(_note("a")))
    await asyncio.sleep(0.05)  # must not end yet
    assert not writing.done()
    other.execute("ROLLBACK")
    other.close()
    await writing

    assert _as_another_program(path) == ["a"]


async def test_every_connection_is_durable(database):
    """The writer's connection and those of the readers use WAL with full sync."""

    def settings(session):
        return tuple(session.connection.execute(f"PRAGMA {name}").get for name in ("journal_mode", "synchronous"))

    assert await database.write(settings) == ("wal", 2)
    assert await asyncio.gather(*(database.read(settings) for _ in range(4))) == [("wal", 2)] * 4


# -- the log ---------------------------------------------------------------------------------------


async def test_write_does_not_wait_for_the_checkpoint(path, monkeypatch):
    """A write returns before the log is checkpointed, and the checkpoint runs before the next write."""
    may_checkpoint, checkpoints = threading.Event(), []
    checkpoint = WriteAheadLog.checkpoint

    def delayed(log):
        may_checkpoint.wait(PATIENCE_SECONDS)
        checkpoints.append(checkpoint(log))

    monkeypatch.setattr(WriteAheadLog, "checkpoint", delayed)
    database = SqliteDatabase(path)
    database.start(schema_version=0)

    await database.write(_note("a"))
    assert not checkpoints
    may_checkpoint.set()
    await database.write(_note("b"))
    assert checkpoints

    database.stop()


async def test_log_is_checkpointed_at_the_threshold(database, path):
    """The log is checkpointed at the threshold, so that it is reused and stays as short as SQLite keeps it."""
    log = path.with_name("library.db-wal")
    sizes = []

    for number in range(60):
        await database.write(_note(f"{number:03}" + "x" * 400_000))
        sizes.append(log.stat().st_size)

    assert max(sizes) < 6_000_000
    assert path.stat().st_size > 20_000_000


async def test_log_is_kept_when_its_checkpoint_fails(database, path, monkeypatch):
    """When a checkpoint fails, committed writes stay in the log and later writes succeed."""
    database.stop()

    class Stubborn(apsw.Connection):
        def wal_checkpoint(self, *_):
            raise apsw.FullError("no")

    stubborn = Stubborn(str(path))
    stubborn.execute("PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 1")
    log = WriteAheadLog(stubborn)
    for name in "ab":
        stubborn.execute("INSERT INTO notes VALUES (?)", (name,))
        log.checkpoint()

    assert _as_another_program(path) == ["a", "b"]
    stubborn.close()
