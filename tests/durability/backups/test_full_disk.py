"""Backups on a file system that is full or not writable fail with a remedy, and nothing is deleted."""

import json
import os
import re
import subprocess
import sys

import pytest

from support.faults.mounts import Mounts
from support.harness import requirements
from support.stores.sql import ask

pytestmark = pytest.mark.promise("K1", "K3")


@pytest.fixture
def mounts():
    with Mounts(requirements.mounts_of_its_own()) as mounts:
        yield mounts


@pytest.fixture
def directory(tmp_path):
    directory = tmp_path / "place"
    directory.mkdir()
    return directory


def _backstay(file_library, directory, *words, inside=()):
    environment = {**os.environ, "BACKUP_DIRECTORY": str(directory)}
    command = [*inside, sys.executable, "-m", "backstay", "--database", str(file_library.database), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=60)


def _count(file_library, directory) -> int:
    listed = _backstay(file_library, directory, "conversations", "list", "--json", "--limit", "1000")
    return len(json.loads(listed.stdout)["conversations"])


def test_nothing_is_deleted_when_the_disk_is_full(file_library, mounts, directory):
    """A delete on a full disk exits with 5, one line with a remedy and no file; with more space it succeeds."""
    mounts.bounded(directory, "32k")

    full = _backstay(file_library, directory, "conversations", "delete", "--all", "--yes", inside=mounts.inside)
    remaining = _count(file_library, directory)
    files = list((mounts.root / directory.relative_to("/")).rglob("*.zst*"))
    mounts.resize(directory, "4m")
    deleted = _backstay(file_library, directory, "conversations", "delete", "--all", "--yes", inside=mounts.inside)
    backup = deleted.stderr.split()[-1]
    restored = _backstay(file_library, directory, "backups", "restore", backup, inside=mounts.inside)

    assert full.returncode == 5
    assert f"Error: No space is left in {directory}" in full.stderr
    assert full.stderr.count("\n") == 1
    assert "BACKUP_DIRECTORY" in full.stderr
    assert remaining == len(file_library.originals)
    assert files == []
    assert deleted.returncode == 0, deleted.stderr
    assert restored.returncode == 0, restored.stderr
    assert _count(file_library, directory) == len(file_library.originals)


def test_nothing_is_deleted_when_the_folder_may_not_be_written(file_library, mounts, directory):
    """A delete whose backup folder is read-only fails with one line, and deletes nothing."""
    mounts.read_only(directory)

    refused = _backstay(file_library, directory, "conversations", "delete", "--all", "--yes", inside=mounts.inside)

    assert refused.returncode == 1
    assert refused.stderr.startswith(f"Error: No backup can be written in {directory}")
    assert "Nothing was deleted" in refused.stderr
    assert _count(file_library, directory) == len(file_library.originals)


@pytest.mark.parametrize("kind", ["full", "read-only", "own folder read-only"])
def test_doctor_finds_a_folder_that_cannot_be_written(file_library, mounts, directory, tmp_path, kind):
    """`doctor` reports a folder in which no backup can be written, with a remedy that works."""
    made = _backstay(file_library, directory, "backups", "create", "--all", "--json")
    folder = directory / ask(file_library.database, "SELECT value FROM meta WHERE name = 'database_id'")[0][0]
    if kind == "full":
        mounts.bounded(directory, "32k")
    else:
        mounts.read_only(folder if kind == "own folder read-only" else directory)

    reported = _backstay(file_library, directory, "doctor", inside=mounts.inside)
    remedied = _backstay(file_library, tmp_path / "other", "doctor", inside=mounts.inside)
    again = _backstay(file_library, tmp_path / "other", "backups", "create", "--all", inside=mounts.inside)

    assert made.returncode == 0, made.stderr
    problem, remedy = re.search(r"^problem +backups +(.*)\n +→ (.*)$", reported.stdout, re.MULTILINE).groups()
    assert reported.returncode == 1
    assert str(directory) in problem
    assert "set BACKUP_DIRECTORY to a folder" in remedy
    assert "database" not in remedy
    assert remedied.returncode == 0 if kind != "full" else "cannot be found" in remedied.stdout
    assert again.returncode == 0, again.stderr


def test_an_unreachable_folder_is_reported(file_library, directory):
    """A backup in an unreachable folder is neither missing nor damaged, and is removed once the folder is reachable."""
    created = _backstay(file_library, directory, "backups", "create", "--all", "--json")
    backup = json.loads(created.stdout)["backupId"]
    directory.rename(directory.with_name("unplugged"))

    verified = _backstay(file_library, directory, "backups", "verify", backup)
    removed = _backstay(file_library, directory, "backups", "delete", backup, "--yes")
    ask(file_library.database, "UPDATE backups SET state = 'expired'")
    cleaned = _backstay(file_library, directory, "backups", "cleanup")
    directory.with_name("unplugged").rename(directory)
    files = list(directory.rglob("*.zst"))
    again = _backstay(file_library, directory, "backups", "cleanup")

    assert verified.returncode == 1
    assert f"The folder of {backup} cannot be reached from this machine" in verified.stderr
    assert removed.returncode == cleaned.returncode == 1
    assert "A cleanup that can reach it removes the file" in cleaned.stderr
    assert len(files) == 1
    assert "its removal was interrupted" in again.stdout
    assert list(directory.rglob("*.zst")) == []


def test_folders_and_files_are_for_their_owner_only(file_library, directory):
    """Created folders have mode 0700 and files 0600; an existing folder keeps its mode."""
    directory.chmod(0o755)

    _backstay(file_library, directory, "backups", "create", "--all")

    (folder,) = directory.iterdir()
    (file,) = folder.glob("*.zst")
    assert [path.stat().st_mode & 0o777 for path in (directory, folder, file)] == [0o755, 0o700, 0o600]


def test_without_the_backup_first(file_library, mounts, directory):
    """The control: a delete before its backup loses the conversations that the full disk could not hold."""
    mounts.bounded(directory, "32k")
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
    environment = {**os.environ, "BACKUP_DIRECTORY": str(directory)}
    command = [*mounts.inside, sys.executable, "-c", careless, str(file_library.database)]
    subprocess.run(command, check=True, env=environment, capture_output=True, timeout=60)

    assert any(line.startswith("K1") for line in file_library.broken(is_started=False))
