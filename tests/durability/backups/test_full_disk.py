"""A real file system that is full, or may not be written: the backup fails, says what to do, and nothing is deleted."""

import json
import os
import re
import subprocess
import sys

import pytest

from support import needs
from support.mounts import Mounts
from support.sql import ask

pytestmark = pytest.mark.promise("K1", "K3")


@pytest.fixture
def mounts():
    with Mounts(needs.mounts_of_its_own()) as mounts:
        yield mounts


@pytest.fixture
def place(tmp_path):
    place = tmp_path / "place"
    place.mkdir()
    return place


def _backstay(kept, place, *words, inside=()):
    environment = {**os.environ, "BACKUP_DIRECTORY": str(place)}
    command = [*inside, sys.executable, "-m", "backstay", "--database", str(kept.database), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=60)


def _count(kept, place) -> int:
    listed = _backstay(kept, place, "conversations", "list", "--json", "--limit", "1000")
    return len(json.loads(listed.stdout)["conversations"])


def test_nothing_is_deleted_when_the_disk_is_full(kept, mounts, place):
    """Status 5, one line that says what to do, nothing half written; with more space the same command works."""
    mounts.bounded(place, "32k")

    full = _backstay(kept, place, "conversations", "delete", "--all", "--yes", inside=mounts.inside)
    left = _count(kept, place)
    files = list((mounts.root / place.relative_to("/")).rglob("*.zst*"))
    mounts.resize(place, "4m")
    done = _backstay(kept, place, "conversations", "delete", "--all", "--yes", inside=mounts.inside)
    backup = done.stderr.split()[-1]
    restored = _backstay(kept, place, "backups", "restore", backup, inside=mounts.inside)

    assert full.returncode == 5
    assert f"Error: No space is left in {place}" in full.stderr
    assert full.stderr.count("\n") == 1
    assert "BACKUP_DIRECTORY" in full.stderr
    assert left == len(kept.originals)
    assert files == []
    assert done.returncode == 0, done.stderr
    assert restored.returncode == 0, restored.stderr
    assert _count(kept, place) == len(kept.originals)


def test_nothing_is_deleted_when_the_folder_may_not_be_written(kept, mounts, place):
    """A read-only file system, told in one line."""
    mounts.read_only(place)

    refused = _backstay(kept, place, "conversations", "delete", "--all", "--yes", inside=mounts.inside)

    assert refused.returncode == 1
    assert refused.stderr.startswith(f"Error: No backup can be written in {place}")
    assert "Nothing was deleted" in refused.stderr
    assert _count(kept, place) == len(kept.originals)


@pytest.mark.parametrize("kind", ["full", "read-only", "own folder read-only"])
def test_doctor_finds_a_place_that_takes_no_backup(kept, mounts, place, tmp_path, kind):
    """It says so before a delete needs it, with a remedy that fits a folder of backups, and that works."""
    made = _backstay(kept, place, "backups", "create", "--all", "--json")
    folder = place / ask(kept.database, "SELECT value FROM meta WHERE name = 'database_id'")[0][0]
    if kind == "full":
        mounts.bounded(place, "32k")
    else:
        mounts.read_only(folder if kind == "own folder read-only" else place)

    told = _backstay(kept, place, "doctor", inside=mounts.inside)
    remedied = _backstay(kept, tmp_path / "other", "doctor", inside=mounts.inside)
    again = _backstay(kept, tmp_path / "other", "backups", "create", "--all", inside=mounts.inside)

    assert made.returncode == 0, made.stderr
    problem, remedy = re.search(r"^problem +backups +(.*)\n +→ (.*)$", told.stdout, re.MULTILINE).groups()
    assert told.returncode == 1
    assert str(place) in problem
    assert "set BACKUP_DIRECTORY to a folder" in remedy
    assert "database" not in remedy
    assert remedied.returncode == 0 if kind != "full" else "the folder cannot be seen of" in remedied.stdout
    assert again.returncode == 0, again.stderr


def test_the_folder_of_a_backup_that_cannot_be_seen_is_told(kept, place):
    """Not a missing backup, and not a damaged one."""
    done = _backstay(kept, place, "backups", "create", "--all", "--json")
    backup = json.loads(done.stdout)["backupId"]
    place.rename(place.with_name("unplugged"))

    verified = _backstay(kept, place, "backups", "verify", backup)
    removed = _backstay(kept, place, "backups", "delete", backup, "--yes")
    ask(kept.database, "UPDATE backups SET state = 'expired'")
    cleaned = _backstay(kept, place, "backups", "cleanup")
    place.with_name("unplugged").rename(place)
    files = list(place.rglob("*.zst"))
    again = _backstay(kept, place, "backups", "cleanup")

    assert verified.returncode == 1
    assert f"The folder of {backup} cannot be reached from this machine" in verified.stderr
    assert removed.returncode == cleaned.returncode == 1
    assert "A cleanup that can reach it removes the file" in cleaned.stderr
    assert len(files) == 1
    assert "its removal was interrupted" in again.stdout
    assert list(place.rglob("*.zst")) == []


def test_folders_and_files_are_for_their_owner_only(kept, place):
    """Ours are 0700 and 0600; the rights of the folder that was there stay."""
    place.chmod(0o755)

    _backstay(kept, place, "backups", "create", "--all")

    (ours,) = place.iterdir()
    (file,) = ours.glob("*.zst")
    assert [path.stat().st_mode & 0o777 for path in (place, ours, file)] == [0o755, 0o700, 0o600]


def test_without_the_backup_first(kept, mounts, place):
    """The control: a delete that does not wait for its backup loses what the full disk could not keep."""
    mounts.bounded(place, "32k")
    careless = """
import asyncio, sys
from backstay import Backstay, Selection
from backstay.errors import BackupError

async def main():
    async with Backstay.open(sys.argv[1]) as backstay:
        plan = await backstay.conversations.plan_delete(Selection(everything=True))
        await backstay.conversations.delete(plan, backup=False)
        try:
            await backstay.backups.create(Selection(everything=True))
        except Exception:
            pass

asyncio.run(main())
"""
    environment = {**os.environ, "BACKUP_DIRECTORY": str(place)}
    command = [*mounts.inside, sys.executable, "-c", careless, str(kept.database)]
    subprocess.run(command, check=True, env=environment, capture_output=True, timeout=60)

    assert any(line.startswith("K1") for line in kept.broken(is_started=False))
