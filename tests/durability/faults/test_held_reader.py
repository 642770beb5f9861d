"""Another program reads the database in one long transaction, while a job writes.

The log cannot be reused during a read: everything written meanwhile is appended, so it grows with the work without a
bound. The bounds that hold:

- while no program reads for long, the log is checkpointed every 1,000 pages (4 MB) and reused, so that it stays below
  12 MB, including the last groups;
- after the reader has ended, the next commits reuse the log and truncate it to `journal_size_limit`, 64 MB (1 MB here).
"""

import apsw
import pytest

from backstay import Backstay, Conversation, Turn
from backstay.storage.sqlite import connection
from support.data.conversations import items

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
    """Complete a job, and return the largest size of the log that was seen."""
    sizes = [0]

    async def process(item):
        return _answer(item)

    result = await backstay.batches.run(
        job, items(count), process, concurrency=64, on_progress=lambda _: sizes.append(_log_bytes(database))
    )
    assert result.completed == count
    return max(sizes)


async def test_without_a_reader_the_log_stays_small(database):
    """The log stays below 12 MB while 5,000 items are processed, if no program reads for long."""
    async with Backstay.open(database) as backstay:
        largest = await _write(backstay, database, "job", _ITEMS)

    assert largest < 12 * _MB


async def test_the_log_shrinks_when_a_reader_ends(database, monkeypatch):
    """The log grows during a long read, whose snapshot stays the same, and is truncated soon after it ends."""
    monkeypatch.setattr(connection, "_WAL_LIMIT_BYTES", _MB)
    async with Backstay.open(database) as backstay:
        reader = apsw.Connection(str(database))
        reader.execute("BEGIN")
        before = reader.execute("SELECT count(*) FROM conversations").get

        await _write(backstay, database, "meanwhile", _ITEMS)
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
    """The control: without the size limit the log is not truncated before the last connection closes."""
    monkeypatch.setattr(connection, "_WAL_LIMIT_BYTES", -1)
    async with Backstay.open(database) as backstay:
        reader = apsw.Connection(str(database))
        reader.execute("BEGIN; SELECT count(*) FROM conversations").fetchall()

        await _write(backstay, database, "meanwhile", 1_000)
        held = _log_bytes(database)
        reader.close()
        await _write(backstay, database, "after", 20)
        after = _log_bytes(database)

    assert after >= held > _MB


def test_the_limit_that_is_set(database):
    """Each connection limits the log that it keeps to 64 MB."""
    opened = connection.connect(database, create=True)
    limit = opened.execute("PRAGMA journal_size_limit").get
    opened.close()

    assert limit == 64 * _MB
