"""A folder of backups is written to and cleaned up only by the database that it was made for."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from backstay.backup import locations
from support.faults.mounts import Mounts
from support.harness import requirements
from support.harness.commands import in_process
from support.stores import postgres
from support.stores.sql import ask

pytestmark = pytest.mark.promise("K1", "K5")

_UNCHECKED = """
import sys
from backstay.backup import locations
from backstay.cli.main import main
locations.describe_problem = lambda *_: None
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture(params=["file", "server"])
def library(request):
    """A library in a file, and one on a server."""
    return request.getfixturevalue("file_library" if request.param == "file" else "server_library")


@pytest.fixture
def directory(tmp_path):
    directory = tmp_path / "directory"
    directory.mkdir()
    return directory


@pytest.fixture
def backstay(capfd, monkeypatch):
    """Return a function that runs a command in this process, with a database and a directory for backups."""
    command = in_process(capfd)

    def run(database, directory, *words):
        monkeypatch.setenv("BACKUP_DIRECTORY", str(directory))
        return command("--database", str(database), *words)

    return run


def _inside(mounts, database, directory, *words, is_checked=True):
    """Run a command in the mount namespace of a test."""
    environment = {**os.environ, "BACKUP_DIRECTORY": str(directory)}
    program = ["-m", "backstay"] if is_checked else ["-c", _UNCHECKED]
    command = [*mounts.inside, sys.executable, *program, "--database", str(database), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=60)


def _count(database) -> int:
    return ask(database, "SELECT count(*) FROM conversations")[0][0]


def _files(directory) -> list[str]:
    return sorted(path.name for path in directory.rglob("*.zst"))


def _copy(database, folder):
    """Return a copy of the database without its other files."""
    if not isinstance(database, Path):
        return postgres.copied_database(database)
    folder.mkdir()
    return shutil.copy(database, folder / database.name)


@pytest.fixture
def disk(tmp_path, directory):
    """A disk that can be mounted at `directory`, inside the mount namespace of the test."""
    disk = tmp_path / "disk"
    disk.mkdir()
    with Mounts(requirements.mounts_of_its_own()) as mounts:
        yield (
            lambda action: (
                mounts.run(*(["mount", "--bind", disk, directory] if action == "mount" else ["umount", directory]))
                or mounts
            )
        )


@pytest.mark.parametrize("is_checked", [True, False], ids=["checked", "control"])
def test_a_delete_is_refused_while_the_backup_disk_is_not_mounted(library, directory, disk, is_checked):
    """While the backup disk is not mounted, a delete is refused: its backup would later be hidden by the disk."""
    database = library.database
    mounts = disk("mount")
    first = _inside(mounts, database, directory, "backups", "create", "--all")
    disk("umount")

    words = ("conversations", "delete", "--all", "--yes")
    deleted = _inside(mounts, database, directory, *words, is_checked=is_checked)
    remaining = _count(database)
    disk("mount")
    if not is_checked:
        restored = _inside(mounts, database, directory, "backups", "restore", deleted.stderr.split()[-1])
        assert (deleted.returncode, remaining) == (0, 0)
        assert restored.returncode == 1  # hidden under the mounted disk
        return
    again = _inside(mounts, database, directory, *words)
    restored = _inside(mounts, database, directory, "backups", "restore", again.stderr.split()[-1])

    assert first.returncode == 0, first.stderr
    assert deleted.returncode == 1
    assert f"Error: Backups were made in {directory}" in deleted.stderr
    assert "Nothing was written or deleted" in deleted.stderr
    assert remaining == len(library.originals)
    assert list(directory.iterdir()) == []
    assert again.returncode == restored.returncode == 0
    assert _count(database) == len(library.originals)


def test_use_folder_replaces_a_lost_folder(backstay, library, directory):
    """When the folder is lost, `use-folder` starts a new one, and the records of lost backups can be removed."""
    database = library.database
    lost = backstay(database, directory, "backups", "create", "--all", "--json").json["backupId"]
    shutil.rmtree(next(directory.iterdir()))

    refused = backstay(database, directory, "backups", "create", "--all")
    doctor = backstay(database, directory, "doctor")
    unconfirmed = backstay(database, directory, "backups", "use-folder")
    used = backstay(database, directory, "backups", "use-folder", "--yes")
    made = backstay(database, directory, "backups", "create", "--all")
    removed = backstay(database, directory, "backups", "delete", lost, "--yes")

    assert (refused.code, unconfirmed.code) == (1, 2)
    assert "what is there now is not that folder" in unconfirmed.err
    assert re.search(r"`backstay --database \S+ backups use-folder`", refused.err)
    assert "what is there now is not that folder" in doctor.out
    assert used.out.strip().endswith("is now the folder for this library's backups.")
    assert (made.code, removed.code) == (0, 0)


def test_a_backup_in_a_lost_earlier_folder_can_be_removed(backstay, library, directory, tmp_path):
    """The error of a delete names the earlier folder, and what it advises makes the delete possible."""
    database = library.database
    lost = backstay(database, directory, "backups", "create", "--all", "--json").json["backupId"]
    shutil.rmtree(directory)

    refused = backstay(database, tmp_path / "later", "backups", "delete", lost, "--yes")
    advised = re.search(r"`backstay --database \S+ backups use-folder` with BACKUP_DIRECTORY=(\S+) ", refused.err)
    used = backstay(database, advised[1], "backups", "use-folder", "--yes")
    removed = backstay(database, tmp_path / "later", "backups", "delete", lost, "--yes")

    assert (refused.code, used.code, removed.code) == (1, 0, 0)
    assert backstay(database, tmp_path / "later", "backups", "list", "--json").json["backups"] == []


def test_a_backup_whose_folder_was_moved_can_be_restored(backstay, library, directory, tmp_path):
    """The error of a restore advises to name the folder that holds the backup now, and then the restore succeeds."""
    database = library.database
    made = backstay(database, directory, "conversations", "delete", "--all", "--yes", "--json").json["backupId"]
    directory.rename(tmp_path / "moved")

    refused = backstay(database, directory, "backups", "restore", made)
    restored = backstay(database, tmp_path / "moved", "backups", "restore", made)

    assert "mount its disk, or set BACKUP_DIRECTORY to the folder that holds it now" in refused.err
    assert (refused.code, restored.code) == (1, 0)
    assert _count(database) == len(library.originals)


@pytest.mark.parametrize("is_checked", [True, False], ids=["checked", "control"])
def test_a_copy_of_the_database_removes_no_backup_of_the_original(
    backstay, library, directory, tmp_path, monkeypatch, is_checked
):
    """A copied database cannot write or clean up in the original's folder; it can in its own folder."""
    database = library.database
    copy = _copy(database, tmp_path / "copy")
    backstay(database, directory, "backups", "create", "--all")
    before = _files(directory)

    if not is_checked:
        monkeypatch.setattr(locations, "describe_problem", lambda *_: None)
    orphans = backstay(copy, directory, "backups", "cleanup", "--orphans")
    if not is_checked:
        assert (orphans.code, _files(directory)) == (0, [])
        return
    deleted = backstay(copy, directory, "conversations", "delete", "--all", "--yes")
    doctor = backstay(copy, directory, "doctor")
    own = backstay(copy, tmp_path / "own", "conversations", "delete", "--all", "--yes")

    assert (orphans.code, deleted.code) == (1, 1)
    assert "this one is a copy of it" in orphans.err
    assert "belongs to the database" in doctor.out
    assert _files(directory) == before
    assert own.code == 0, own.err
    assert _count(copy) == 0


def test_a_copy_forgets_what_expires_and_leaves_the_file(backstay, file_library, directory, tmp_path):
    """A copied database drops the record of an expired backup, but keeps the file that the original may need."""
    backstay(file_library.database, directory, "backups", "create", "--all")
    copy = _copy(file_library.database, tmp_path / "copy")
    ask(copy, "UPDATE backups SET expires_at = created_at")

    cleaned = backstay(copy, tmp_path / "own", "backups", "cleanup")

    assert cleaned.code == 0, cleaned.err
    assert len(_files(directory)) == 1


def test_use_folder_gives_the_folder_to_a_copy(backstay, library, directory, tmp_path):
    """After `use-folder` a copied database can use the folder, and the original is refused."""
    database = library.database
    backstay(database, directory, "backups", "create", "--all")
    copy = _copy(database, tmp_path / "copy")

    used = backstay(copy, directory, "backups", "use-folder", "--yes", "--json")
    copied = backstay(copy, directory, "conversations", "delete", "--all", "--yes")
    original = backstay(database, directory, "conversations", "delete", "--all", "--yes")

    assert list(used.json) == ["folder"]
    assert (copied.code, original.code) == (0, 1)
    assert _count(database) == len(library.originals)


def test_a_database_that_was_moved_keeps_its_folder(backstay, file_library, directory):
    """A renamed database, or one moved together with its folder, needs no `use-folder`."""
    backstay(file_library.database, directory, "backups", "create", "--all")
    library = file_library.database.parent
    moved = library.rename(library.with_name("moved"))

    elsewhere = backstay(moved / file_library.database.name, directory, "backups", "create", "--all")
    with_folder = backstay(
        shutil.copytree(moved, library) / file_library.database.name, "", "backups", "create", "--all"
    )
    whole = shutil.copytree(library, library.with_name("whole"))
    copied = backstay(whole / file_library.database.name, "", "backups", "create", "--all")

    assert [ended.err for ended in (elsewhere, with_folder, copied) if ended.code] == []


def test_a_database_restored_from_a_copy_needs_use_folder(backstay, file_library, directory):
    """A database file restored from a copy may be older than the backups, so it removes none before `use-folder`."""
    saved = shutil.copy(file_library.database, file_library.database.with_name("saved"))
    backstay(file_library.database, directory, "backups", "create", "--all")
    file_library.database.rename(file_library.database.with_name("broken"))
    shutil.copy(saved, file_library.database)

    orphans = backstay(file_library.database, directory, "backups", "cleanup", "--orphans")
    files = _files(directory)
    used = backstay(file_library.database, directory, "backups", "use-folder", "--yes")
    made = backstay(file_library.database, directory, "backups", "create", "--all")

    assert (orphans.code, len(files)) == (1, 1)
    assert (used.code, made.code) == (0, 0)


def test_a_copy_in_the_place_of_the_original_has_no_right_to_its_folder(backstay, file_library, directory):
    """A database that was renamed keeps its folder; the copy that now has its name cannot use it."""
    backstay(file_library.database, directory, "backups", "create", "--all")
    original = file_library.database.rename(file_library.database.with_name("aside.db"))
    shutil.copy(original, file_library.database)

    copy = backstay(file_library.database, directory, "conversations", "delete", "--all", "--yes")
    moved = backstay(original, directory, "conversations", "delete", "--all", "--yes")

    assert (copy.code, moved.code) == (1, 0)
    assert _count(file_library.database) == len(file_library.originals)


def test_a_folder_whose_marker_cannot_be_read_is_refused(backstay, file_library, directory):
    """A folder whose marker is unreadable is refused until `use-folder` writes a new marker."""
    backstay(file_library.database, directory, "backups", "create", "--all")
    (marker,) = directory.rglob("folder.json")
    marker.write_text("{")

    refused = backstay(file_library.database, directory, "backups", "create", "--all")
    doctor = backstay(file_library.database, directory, "doctor")
    used = backstay(file_library.database, directory, "backups", "use-folder", "--yes")
    made = backstay(file_library.database, directory, "backups", "create", "--all")

    assert (refused.code, used.code, made.code) == (1, 0, 0)
    assert f"{marker}, which says which database the folder belongs to, cannot be read" in refused.err
    assert str(marker) in doctor.out


@pytest.mark.parametrize("kind", ["pipe", "huge"])
def test_an_invalid_marker_does_not_block_a_command(backstay, file_library, directory, kind):
    """A command neither waits for a pipe in place of the marker nor reads a huge file; `use-folder` replaces both."""
    backstay(file_library.database, directory, "backups", "create", "--all")
    (marker,) = directory.rglob("folder.json")
    marker.unlink()
    if kind == "pipe":
        os.mkfifo(marker)
    else:
        with marker.open("wb") as file:
            file.truncate(3 * 10**9)

    refused = backstay(file_library.database, directory, "backups", "create", "--all")
    used = backstay(file_library.database, directory, "backups", "use-folder", "--yes")
    made = backstay(file_library.database, directory, "backups", "create", "--all")

    assert (refused.code, used.code, made.code) == (1, 0, 0)


def test_a_world_writable_folder_is_refused(backstay, file_library, directory):
    """No backup is made in a folder that every user can write to, until the remedy of the message is applied."""
    directory.chmod(0o777)

    refused = backstay(file_library.database, directory, "conversations", "delete", "--all", "--yes")
    directory.chmod(0o1777)
    sticky = backstay(file_library.database, directory, "backups", "create", "--all")
    directory.chmod(0o777)
    remedy = refused.err.split("`")[1]
    subprocess.run(remedy, shell=True, check=True)
    made = backstay(file_library.database, directory, "backups", "create", "--all")

    assert refused.code == 1
    assert "Every user of this machine can write to" in refused.err
    assert (sticky.code, made.code) == (0, 0)
