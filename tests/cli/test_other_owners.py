"""Messages for an owner who has nothing while other owners have something."""

import asyncio
import os

import pytest

from backstay import Backstay
from backstay.errors import BackupDamaged
from support.harness.requirements import refused
from support.stores import postgres
from support.stores.library import ALL

_ITEMS = [{"topic": "tea"}, {"topic": "jam"}]


async def _fill(database):
    async with Backstay.open(database) as backstay:
        for owner, count in (("ann", 2), ("bob", 1)):
            own = backstay.for_owner(owner)
            for number in range(count):
                await own.batches.run(f"job {number}", _ITEMS, "scripted")
            backup = await own.backups.create(ALL)
        path = await own.backups.path_for(backup)
        path.write_bytes(path.read_bytes()[:-1])
        with pytest.raises(BackupDamaged):
            await own.backups.verify(backup.id)
        await backstay.for_owner("bob").batches.run("half", _ITEMS, "scripted", limit=1)


@pytest.fixture(params=["sqlite", "postgres"])
def database(request, backstay, within, monkeypatch, tmp_path):
    """Create a library in which two owners have jobs, conversations and a backup, one damaged, and `local` has none."""
    monkeypatch.setenv("BACKUP_DIRECTORY", str(tmp_path / "safe"))
    if request.param == "sqlite":
        asyncio.run(_fill(backstay.database))
        yield backstay.database
        return
    postgres.need_a_server()
    url = postgres.fresh_database()
    monkeypatch.setenv("BACKSTAY_DATABASE_URL", url)
    asyncio.run(_fill(url))
    yield url
    postgres.drop_database(url)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("jobs", "2 owners other than 'local' have 4 jobs"),
        ("jobs --incomplete", "1 owner other than 'local' has 1 unfinished job"),
        ("resume", "1 owner other than 'local' has 1 unfinished job"),
        ("resume half", "2 owners other than 'local' have 4 jobs"),
        ("conversations list", "2 owners other than 'local' have 7 conversations"),
        ("conversations list --job half", "2 owners other than 'local' have 7 conversations"),
        ("backups list", "2 owners other than 'local' have 2 backups"),
    ],
)
def test_owner_who_has_nothing_sees_counts_of_others(within, database, words, says):
    """A command that finds nothing counts what other owners have, but not in JSON."""
    ended, as_json = within(*words.split()), within(*words.split(), "--json")

    assert ended.err.splitlines().count(f"{says}; name one with --owner.") == 1
    assert "other than" not in as_json.out + as_json.err
    assert "ann" not in ended.out + ended.err


def test_doctor_counts_what_other_owners_have(within, database):
    """Doctor counts other owners' jobs, conversations and backups without one's own."""
    ended, of_bob = within("doctor"), within("--owner", "bob", "doctor")

    counts = "4 jobs (2 owners), 7 conversations (2 owners), 2 backups (2 owners)"
    assert f"owners other than 'local' have {counts}" in ended.out
    assert "owners other than 'bob' have 2 jobs (1 owner), 4 conversations (1 owner), 1 backup (1 owner)" in of_bob.out


def test_owner_who_has_something_sees_nothing_of_others(within, database):
    """A list that is not empty mentions no other owners."""
    for words in (
        "jobs",
        "conversations list",
        "conversations list --job none",
        "backups list",
    ):
        assert "other than" not in within("--owner", "bob", *words.split()).err


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_nothing_is_counted_in_a_file_of_another_user(within, database):
    """A user who may only read another user's file learns nothing of the owners in it."""
    if os.geteuid() != 0:
        refused("only root can give a file to another user")
    os.chown(database, 65_534, 65_534)

    ended, checked = within("jobs"), within("doctor")

    assert ended.err == "No jobs.\n"
    assert "other than" not in checked.out
