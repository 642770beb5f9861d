"""Another program reads the database in one long transaction, while a job writes.

The log cannot be started over beneath a reader: whatever is written while it reads has to be added. So there the log
grows with the work, and no bound can hold. The bounds that do:

- nobody reads for long: SQLite brings the log into the database every 1,000 pages (4 MB) and starts it over, so that
  it stays below 12 MB, the last groups included;
- the reader has let go: the next commits start the log over and cut it to `journal_size_limit`, 64 MB (1 MB here).
"""

import apsw
import pytest

from backstay import Backstay, Conversation, Turn
from backstay.storage.sqlite import connection
from support.conversations import items

_MB = 1024 * 1024
_ITEMS = 5_000


@pytest.fixture
def database(tmp_path):
    return tmp_path / "backstay.db"


def _log_bytes(database):
    return database.with_name("backstay.db-wal").stat().st_size


def _answer(item):
    return Conversation([Turn("user", item.topic), Turn("assistant", "Because. " * 800)])


async def _write(backstay, database, job, count):
    """Complete a job and return the largest size the log was seen at."""
    sizes = [0]

    async def process(item):
        return _answer(item)

    result = await backstay.batches.run(
        job, items(count), process, concurrency=64, on_progress=lambda _: sizes.append(_log_bytes(database))
    )
    assert result.completed == count
    return max(sizes)


async def test_without_a_reader_the_log_stays_small(database):
    """5,000 items pass through it."""
    async with Backstay.open(database) as backstay:
        largest = await _write(backstay, database, "job", _ITEMS)

    assert largest < 12 * _MB


async def test_the_log_shrinks_when_a_reader_lets_go(database, monkeypatch):
    """It grows beneath the reader, who sees the same all the while, and is cut soon afterwards."""
    monkeypatch.setattr(connection, "_WAL_BYTES_KEPT", _MB)
    async with Backstay.open(database) as backstay:
        reader = apsw.Connection(str(database))
        reader.execute("BEGIN")
        before = reader.execute("SELECT count(*) FROM conversations").get

        await _write(backstay, database, "beneath", _ITEMS)
        held = _log_bytes(database)
        still = reader.execute("SELECT count(*) FROM conversations").get
        reader.execute("COMMIT")
        await _write(backstay, database, "after", 20)
        after = _log_bytes(database)
        now = reader.execute("SELECT count(*) FROM conversations").get
        reader.close()

    assert held > 32 * _MB
    assert (before, still, now) == (0, 0, _ITEMS + 20)
    assert after <= _MB
    assert not database.with_name("backstay.db-wal").exists()


async def test_without_the_limit_the_log_stays_as_large(database, monkeypatch):
    """The control: nothing cuts it before the last connection closes."""
    monkeypatch.setattr(connection, "_WAL_BYTES_KEPT", -1)
    async with Backstay.open(database) as backstay:
        reader = apsw.Connection(str(database))
        reader.execute("BEGIN; SELECT count(*) FROM conversations").fetchall()

        await _write(backstay, database, "beneath", 1_000)
        held = _log_bytes(database)
        reader.close()
        await _write(backstay, database, "after", 20)
        after = _log_bytes(database)

    assert after >= held > _MB


def test_the_limit_that_is_set(database):
    """Each connection keeps 64 MB of log at most."""
    opened = connection.connect(database, create=True)
    limit = opened.execute("PRAGMA journal_size_limit").get
    opened.close()

    assert limit == 64 * _MB
