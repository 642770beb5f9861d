"""A folder of backups is written to and cleaned up only by the database that it was made for."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from backstay.backup import locations
from support import needs, postgres
from support.commands import in_process
from support.mounts import Mounts
from support.sql import ask

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
    return request.getfixturevalue("kept" if request.param == "file" else "kept_on_a_server")


@pytest.fixture
def place(tmp_path):
    place = tmp_path / "place"
    place.mkdir()
    return place


@pytest.fixture
def backstay(capfd, monkeypatch):
    """Run a command in this process, for a database and with a folder for backups."""
    command = in_process(capfd)

    def run(database, place, *words):
        monkeypatch.setenv("BACKUP_DIRECTORY", str(place))
        return command("--database", str(database), *words)

    return run


def _inside(mounts, database, place, *words, is_checked=True):
    """Run a command among the mounts of a test."""
    environment = {**os.environ, "BACKUP_DIRECTORY": str(place)}
    program = ["-m", "backstay"] if is_checked else ["-c", _UNCHECKED]
    command = [*mounts.inside, sys.executable, *program, "--database", str(database), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=60)


def _count(database) -> int:
    return ask(database, "SELECT count(*) FROM conversations")[0][0]


def _files(place) -> list[str]:
    return sorted(path.name for path in place.rglob("*.zst"))


def _copy(database, folder):
    """Return a copy of the database without its other files."""
    if not isinstance(database, Path):
        return postgres.copied_database(database)
    folder.mkdir()
    return shutil.copy(database, folder / database.name)


@pytest.fixture
def disk(tmp_path, place):
    """A disk that can be mounted at `place`, inside the mount namespace of the test."""
    disk = tmp_path / "disk"
    disk.mkdir()
    with Mounts(needs.mounts_of_its_own()) as mounts:
        yield (
            lambda do: mounts.do(*(["mount", "--bind", disk, place] if do == "mount" else ["umount", place])) or mounts
        )


@pytest.mark.parametrize("is_checked", [True, False], ids=["checked", "control"])
def test_a_delete_is_refused_while_the_backup_disk_is_not_mounted(library, place, disk, is_checked):
    """A backup is not written under the mount point, where the mounted disk would hide it from the restore."""
    database = library.database
    mounts = disk("mount")
    first = _inside(mounts, database, place, "backups", "create", "--all")
    disk("umount")

    words = ("conversations", "delete", "--all", "--yes")
    deleted = _inside(mounts, database, place, *words, is_checked=is_checked)
    left = _count(database)
    disk("mount")
    if not is_checked:
        restored = _inside(mounts, database, place, "backups", "restore", deleted.stderr.split()[-1])
        assert (deleted.returncode, left) == (0, 0)
        assert restored.returncode == 1  # hidden under the mounted disk
        return
    again = _inside(mounts, database, place, *words)
    restored = _inside(mounts, database, place, "backups", "restore", again.stderr.split()[-1])

    assert first.returncode == 0, first.stderr
    assert deleted.returncode == 1
    assert f"Error: Backups were made in {place}" in deleted.stderr
    assert "Nothing was written or deleted" in deleted.stderr
    assert left == len(library.originals)
    assert list(place.iterdir()) == []
    assert again.returncode == restored.returncode == 0
    assert _count(database) == len(library.originals)


def test_a_folder_that_is_gone_for_good_is_begun_anew_when_asked_for(backstay, library, place):
    """The remedy that the refusal names works; the records of what is gone can be removed then."""
    database = library.database
    lost = backstay(database, place, "backups", "create", "--all", "--json").json["backupId"]
    shutil.rmtree(next(place.iterdir()))

    refused = backstay(database, place, "backups", "create", "--all")
    doctor = backstay(database, place, "doctor")
    unasked = backstay(database, place, "backups", "use-folder")
    told = backstay(database, place, "backups", "use-folder", "--yes")
    made = backstay(database, place, "backups", "create", "--all")
    removed = backstay(database, place, "backups", "delete", lost, "--yes")

    assert (refused.code, unasked.code) == (1, 2)
    assert "what is there now is not that folder" in unasked.err
    assert "`backstay backups use-folder`" in refused.err
    assert "what is there now is not that folder" in doctor.out
    assert told.out.strip().endswith("is the folder of this library's backups.")
    assert (made.code, removed.code) == (0, 0)


@pytest.mark.parametrize("is_checked", [True, False], ids=["checked", "control"])
def test_a_copy_of_the_database_removes_no_backup_of_the_original(
    backstay, library, place, tmp_path, monkeypatch, is_checked
):
    """With the folder of the original, a copy neither writes nor cleans up; with one of its own it does both."""
    database = library.database
    copy = _copy(database, tmp_path / "copy")
    backstay(database, place, "backups", "create", "--all")
    before = _files(place)

    if not is_checked:
        monkeypatch.setattr(locations, "describe_problem", lambda *_: None)
    orphans = backstay(copy, place, "backups", "cleanup", "--orphans")
    if not is_checked:
        assert (orphans.code, _files(place)) == (0, [])
        return
    deleted = backstay(copy, place, "conversations", "delete", "--all", "--yes")
    doctor = backstay(copy, place, "doctor")
    own = backstay(copy, tmp_path / "own", "conversations", "delete", "--all", "--yes")

    assert (orphans.code, deleted.code) == (1, 1)
    assert "this one is a copy of it" in orphans.err
    assert "belongs to the database" in doctor.out
    assert _files(place) == before
    assert own.code == 0, own.err
    assert _count(copy) == 0


def test_a_copy_forgets_what_expires_and_leaves_the_file(backstay, kept, place, tmp_path):
    """An orphan of a copied database is kept, because the original may still need it."""
    backstay(kept.database, place, "backups", "create", "--all")
    copy = _copy(kept.database, tmp_path / "copy")
    ask(copy, "UPDATE backups SET expires_at = created_at")

    cleaned = backstay(copy, tmp_path / "own", "backups", "cleanup")

    assert cleaned.code == 0, cleaned.err
    assert len(_files(place)) == 1


def test_a_copy_that_took_over_has_the_folder_and_the_original_is_refused(backstay, library, place, tmp_path):
    """`use-folder`, the other remedy of the refusal, works."""
    database = library.database
    backstay(database, place, "backups", "create", "--all")
    copy = _copy(database, tmp_path / "copy")

    told = backstay(copy, place, "backups", "use-folder", "--yes", "--json")
    copied = backstay(copy, place, "conversations", "delete", "--all", "--yes")
    original = backstay(database, place, "conversations", "delete", "--all", "--yes")

    assert list(told.json) == ["folder"]
    assert (copied.code, original.code) == (0, 1)
    assert _count(database) == len(library.originals)


def test_a_database_that_was_moved_keeps_its_folder(backstay, kept, place):
    """A renamed database, or one moved together with its folder, needs no `use-folder`."""
    backstay(kept.database, place, "backups", "create", "--all")
    library = kept.database.parent
    moved = library.rename(library.with_name("moved"))

    elsewhere = backstay(moved / kept.database.name, place, "backups", "create", "--all")
    with_folder = backstay(shutil.copytree(moved, library) / kept.database.name, "", "backups", "create", "--all")
    whole = shutil.copytree(library, library.with_name("whole"))
    copied = backstay(whole / kept.database.name, "", "backups", "create", "--all")

    assert [done.err for done in (elsewhere, with_folder, copied) if done.code] == []


def test_a_database_that_was_put_back_has_to_be_told(backstay, kept, place):
    """A file that came back from a copy of the disk may be older than the backups: it removes none of them unasked."""
    saved = shutil.copy(kept.database, kept.database.with_name("saved"))
    backstay(kept.database, place, "backups", "create", "--all")
    kept.database.rename(kept.database.with_name("broken"))
    shutil.copy(saved, kept.database)

    orphans = backstay(kept.database, place, "backups", "cleanup", "--orphans")
    left = _files(place)
    told = backstay(kept.database, place, "backups", "use-folder", "--yes")
    done = backstay(kept.database, place, "backups", "create", "--all")

    assert (orphans.code, len(left)) == (1, 1)
    assert (told.code, done.code) == (0, 0)


def test_a_copy_in_the_place_of_the_original_has_no_right_to_its_folder(backstay, kept, place):
    """The original was moved aside, and keeps the folder; the copy that now has its name does not."""
    backstay(kept.database, place, "backups", "create", "--all")
    original = kept.database.rename(kept.database.with_name("aside.db"))
    shutil.copy(original, kept.database)

    copy = backstay(kept.database, place, "conversations", "delete", "--all", "--yes")
    moved = backstay(original, place, "conversations", "delete", "--all", "--yes")

    assert (copy.code, moved.code) == (1, 0)
    assert _count(kept.database) == len(kept.originals)


def test_a_folder_whose_marker_cannot_be_read_is_refused(backstay, kept, place):
    """A marker that cannot be read is refused: its content counts, not its existence."""
    backstay(kept.database, place, "backups", "create", "--all")
    (marker,) = place.rglob("folder.json")
    marker.write_text("{")

    refused = backstay(kept.database, place, "backups", "create", "--all")
    doctor = backstay(kept.database, place, "doctor")
    told = backstay(kept.database, place, "backups", "use-folder", "--yes")
    made = backstay(kept.database, place, "backups", "create", "--all")

    assert (refused.code, told.code, made.code) == (1, 0, 0)
    assert f"{marker}, which says which database the folder belongs to, cannot be read" in refused.err
    assert str(marker) in doctor.out


@pytest.mark.parametrize("kind", ["pipe", "huge"])
def test_a_marker_that_is_none_holds_nothing_up(backstay, kept, place, kind):
    """A pipe is not waited for, and no more is read than a marker has; the remedy works."""
    backstay(kept.database, place, "backups", "create", "--all")
    (marker,) = place.rglob("folder.json")
    marker.unlink()
    if kind == "pipe":
        os.mkfifo(marker)
    else:
        with marker.open("wb") as file:
            file.truncate(3 * 10**9)

    refused = backstay(kept.database, place, "backups", "create", "--all")
    told = backstay(kept.database, place, "backups", "use-folder", "--yes")
    made = backstay(kept.database, place, "backups", "create", "--all")

    assert (refused.code, told.code, made.code) == (1, 0, 0)


def test_a_folder_that_everybody_may_change_is_refused(backstay, kept, place):
    """No backup is made in a folder that every user can write to, and the remedy in the message works."""
    place.chmod(0o777)

    refused = backstay(kept.database, place, "conversations", "delete", "--all", "--yes")
    place.chmod(0o1777)
    sticky = backstay(kept.database, place, "backups", "create", "--all")
    place.chmod(0o777)
    remedy = refused.err.split("`")[1]
    subprocess.run(remedy, shell=True, check=True)
    made = backstay(kept.database, place, "backups", "create", "--all")

    assert refused.code == 1
    assert "Every user of this machine can write to" in refused.err
    assert (sticky.code, made.code) == (0, 0)
