"""Reads that would never end are stopped, and their threads are free again."""

import asyncio
import threading
from contextlib import asynccontextmanager

import pytest

from backstay.clock import SystemClock
from backstay.errors import ReadTooLong
from backstay.storage.postgres import PostgresStore
from backstay.storage.sql.reader_pool import ReadDeadline
from backstay.storage.sqlite import SqliteStore
from support.harness.async_waiting import until
from support.stores import postgres
from support.stores.kinds import DATABASES, SAMPLED, require

_ENDLESS = {
    "sqlite": "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n",
    "postgresql": "SELECT pg_sleep(3600)",  # practically endless, and never awaited
}
_KINDS = [kind for kind in DATABASES if kind.name not in SAMPLED]


@asynccontextmanager
async def _opened(kind, folder, read_seconds=None):
    require(kind)
    with kind.fresh_database(folder) as where:
        if kind.name == "sqlite":
            store = SqliteStore(path=where, clock=SystemClock(), read_seconds=read_seconds)
        else:
            store = PostgresStore(url=where, schema=postgres.SCHEMA, clock=SystemClock(), read_seconds=read_seconds)
        await store.start(create=False)
        try:
            yield store._database
        finally:
            await store.stop()


class _Reading:
    """Endless reads of one owner."""

    def __init__(self, database):
        self._database = database
        self.begun = 0

    def read(self):
        def endless(session):
            self.begun += 1
            return session.connection.execute(_ENDLESS[session.kind]).fetchone()

        return asyncio.create_task(self._database.read(endless, owner="a"))


def _small(session):
    return session.value("database_id")


@pytest.mark.parametrize("kind", _KINDS, ids=lambda kind: kind.name)
async def test_a_read_that_no_one_waits_for_is_stopped(kind, tmp_path):
    """A cancelled read is stopped, and the same owner's next read gets its thread."""
    async with _opened(kind, tmp_path) as database:
        reading = _Reading(database)
        endless = [reading.read() for _ in range(3)]
        await until(lambda: reading.begun == 2)
        after = asyncio.create_task(database.read(_small, owner="a"))

        for task in reversed(endless):  # the queued one first, as a free thread would begin it
            task.cancel()

        assert await after
        assert reading.begun == 2


async def test_without_stopping_a_read_keeps_its_thread(tmp_path, monkeypatch):
    """Control: if cancelled reads are not stopped, the owner's next read has to wait."""
    let_go = threading.Event()
    monkeypatch.setattr(ReadDeadline, "is_over", lambda _: let_go.is_set())
    async with _opened(_KINDS[0], tmp_path) as database:
        reading = _Reading(database)
        endless = [reading.read() for _ in range(2)]
        await until(lambda: reading.begun == 2)
        for task in endless:
            task.cancel()
        after = asyncio.create_task(database.read(_small, owner="a"))
        assert await database.read(_small, owner="b")

        assert database._readers.waiting == 1
        let_go.set()
        assert await after


@pytest.mark.parametrize("kind", _KINDS, ids=lambda kind: kind.name)
async def test_a_read_that_takes_too_long_is_stopped(kind, tmp_path):
    """A read that exceeds the time limit is stopped with an error that names the setting, and others still work."""
    async with _opened(kind, tmp_path, read_seconds=0.2) as database:
        with pytest.raises(ReadTooLong, match=r"0\.2 seconds of `read_seconds`"):
            await _Reading(database).read()

        assert await database.read(_small, owner="a")
