"""A delete without a backup leaves no text in the database file or its log."""

import json
import random
import re

import apsw
import pytest

from backstay import Backstay, Selection
from backstay.storage.sqlite import database
from support.harness.waiting import PATIENCE_SECONDS

_COUNT = 1_500


@pytest.fixture(autouse=True)
def _wait_for_the_last_checkpoint(monkeypatch):
    """Let an erasure wait as long as a busy disk needs for the checkpoint of the delete before it."""
    monkeypatch.setattr(database, "_ERASE_BUSY_MS", int(PATIENCE_SECONDS * 1_000))


def _rows():
    """Yield conversations from one line to several pages long, each full of a unique word."""
    chance = random.Random(1)
    for number in range(_COUNT):
        text = f"word{number:05}x " * chance.choice([2, 20, 90, 300, 900])
        id_ = f"c{chance.getrandbits(60):x}"
        yield {"id": id_, "messages": [{"role": "user", "content": text}, {"role": "assistant", "content": text}]}


async def _half_deleted(path):
    """Delete every other conversation permanently, after some were deleted and restored; return what is left, too."""
    rows = list(_rows())
    (path.parent / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    async with Backstay.open(path) as backstay:
        await backstay.conversations.import_file(path.parent / "in.jsonl")
        undone = await backstay.conversations.delete(Selection(ids=tuple(row["id"] for row in rows[:500])))
        await backstay.backups.restore(undone.backup_id)
        result = await backstay.conversations.delete(
            Selection(ids=tuple(row["id"] for row in rows[1::2])), backup=False
        )
        # Read while the database is open, since closing it removes the log.
        remaining = {
            int(word)
            for file in path.parent.glob(f"{path.name}*")
            for word in re.findall(rb"word(\d{5})x", file.read_bytes())
        }
    assert set(range(0, _COUNT, 2)) <= remaining
    return result, remaining & set(range(1, _COUNT, 2))


async def test_permanently_deleted_text_is_not_left_in_the_file(tmp_path):
    """A permanently deleted text is in neither the database nor its log, even after SQLite has moved rows."""
    result, remaining = await _half_deleted(tmp_path / "library.db")

    assert result.is_erased
    assert remaining == set()


async def test_a_large_database_is_not_rewritten(tmp_path, monkeypatch):
    """A delete in a large file may leave a few remnants, which it reports and which VACUUM removes."""
    path = tmp_path / "library.db"
    monkeypatch.setattr(database, "_MAX_VACUUM_BYTES", 1_000)
    result, remaining = await _half_deleted(path)
    connection = apsw.Connection(str(path))
    connection.execute("VACUUM")
    connection.close()

    assert not result.is_erased
    assert len(remaining) < _COUNT // 50
    after = {int(word) for word in re.findall(rb"word(\d{5})x", path.read_bytes())}
    assert after == set(range(0, _COUNT, 2))


async def test_without_erasing(tmp_path, monkeypatch):
    """Control: an ordinary delete of SQLite leaves nearly all texts in the file."""

    async def not_at_all(self):
        return False

    submit = database.SqliteDatabase._submit

    def as_usual(self, function, *, overwrite_deleted=False):
        return submit(self, function)

    monkeypatch.setattr(database.SqliteDatabase, "erase", not_at_all)
    monkeypatch.setattr(database.SqliteDatabase, "_submit", as_usual)
    _, remaining = await _half_deleted(tmp_path / "library.db")

    assert len(remaining) > _COUNT // 8
