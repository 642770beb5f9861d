"""Where the backups of a library are, and whether their folder is its own."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from backstay.backup import locations
from backstay.backup.directory import MARKER, BackupDirectory
from backstay.backup.folder_marker import FolderMarker, read_marker, write_marker
from backstay.backup.locations import BackupLocations
from backstay.backup.storage_identity import StorageIdentity
from backstay.errors import BackupFolderUnrecognized, SettingsError
from backstay.remedy import Remedy

_DATABASE = StorageIdentity("library.db", "here")


class _Records:
    """The methods of a RecordStore that find folders."""

    def __init__(self):
        self.ids = 0
        self.recorded = []
        self.asked = []

    async def database_id(self):
        self.ids += 1
        return "database"

    async def database_identity(self):
        return _DATABASE

    async def is_folder_recorded(self, parent, *, is_default, host):
        self.asked.append((is_default, host))
        return parent in self.recorded


@pytest.fixture
def store():
    return _Records()


@pytest.fixture
def default(tmp_path):
    return tmp_path / "default"


@pytest.fixture
def configured(tmp_path):
    return tmp_path / "configured"


@pytest.fixture
def locate(store):
    """Return a function that makes the locations of a library with these folders."""

    def make(default, configured=None):
        return BackupLocations(store=store, default_folder=default, configured_folder=configured)

    return make


def _backup(folder=None, host=None):
    return SimpleNamespace(id="backup-1-a", folder=folder and str(folder), host=host)


def _put(parent):
    """Put the file of the backup into a folder of this library."""
    folder = BackupDirectory(parent / "database")
    folder.make_folder()
    folder.path_for("backup-1-a").write_bytes(b"text")
    return folder


async def test_a_configured_folder_replaces_the_default(locate, store, default, configured):
    """New backups go to the configured folder, else to the default one, which their records do not name."""
    both, only_default = locate(default, configured), locate(default)

    assert [(await each.current_directory()).path.parent for each in (both, only_default)] == [configured, default]
    assert (both.recorded_folder, only_default.recorded_folder) == (str(configured), None)
    assert [locate(*folders).is_known for folders in ((default,), (None, configured), (None,))] == [True, True, False]
    with pytest.raises(SettingsError):
        await locate(None).current_directory()


async def test_the_id_of_the_database_is_read_once(locate, store, default):
    """The id of the database, which names the folder, is read once."""
    library = locate(default)

    names = [(await library.current_directory()).path.name for _ in range(2)]

    assert (names, store.ids) == (["database"] * 2, 1)


async def test_a_backup_is_where_its_file_is(locate, default, configured, tmp_path):
    """A backup is where it was made, unless its file is only in the folder for new backups."""
    made, library = tmp_path / "made", locate(default, configured)

    nowhere = await library.for_backup(_backup(made))
    without_folder = await locate(None).for_backup(_backup(made))
    _put(configured)
    moved = await library.for_backup(_backup(made))
    _put(made)
    both = await library.for_backup(_backup(made))
    by_default = await locate(default).for_backup(_backup())

    assert [folder.path.parent for folder in (nowhere, without_folder, moved, both, by_default)] == [
        made,
        made,
        configured,
        made,
        default,
    ]


async def test_a_folder_of_another_machine_is_out_of_reach(locate, default, configured):
    """A folder that another machine recorded is out of reach and named with its host, unless the file is here."""
    library = locate(default, configured)
    elsewhere, here, unnamed = (_backup(configured, host) for host in ("elsewhere", library.host, None))
    moved_along = _backup(None, "elsewhere")
    folder = await library.for_backup(elsewhere)

    before = [await library.is_unreachable(each, folder) for each in (elsewhere, here, unnamed, moved_along)]
    _put(configured)

    assert before == [True, False, False, False]
    assert not await library.is_unreachable(elsewhere, folder)
    assert library.path_for(elsewhere, folder) == f"{folder.path} on elsewhere"
    assert library.path_for(here, folder) == str(folder.path)


async def test_a_folder_that_lost_its_marker_is_missing(locate, store, default, configured, tmp_path):
    """A folder without a marker in which backups were made is refused and out of reach; a new one is neither."""
    earlier, library = tmp_path / "earlier", locate(default, configured)
    current = await library.current_directory()
    await library.check(current)
    store.recorded = [str(configured), str(earlier)]

    for directory, remedy in ((configured, Remedy.MOUNT_BACKUP_FOLDER), (earlier, Remedy.MOUNT_EARLIER_FOLDER)):
        folder = BackupDirectory(directory / "database")
        with pytest.raises(BackupFolderUnrecognized, match=r"^Backups were made in .*Nothing was written") as caught:
            await library.check(folder)
        assert caught.value.remedy is remedy
    with pytest.raises(BackupFolderUnrecognized) as caught:
        await locate(earlier).check(folder)
    assert caught.value.remedy is Remedy.MOUNT_BACKUP_FOLDER
    assert await library.is_unreachable(_backup(configured), current)
    assert "what is there now is not that folder" in await library.problem_text(current)


async def test_a_folder_of_another_database_is_foreign(locate, configured, default):
    """A folder that another database marked is refused and out of reach, wherever it is."""
    folder = BackupDirectory(configured / "database")
    folder.make_folder()
    write_marker(folder.path, FolderMarker("other", _DATABASE, _DATABASE))
    library = locate(None, default)

    with pytest.raises(BackupFolderUnrecognized) as caught:
        await library.check(folder)

    assert caught.value.remedy is Remedy.CHOOSE_BACKUP_FOLDER
    assert await library.is_unreachable(_backup(configured), folder)


async def test_a_first_backup_of_another_process_is_no_problem(locate, store, default, monkeypatch):
    """A folder that another process marks between the look at it and at the records is this library's."""
    library = locate(default)
    folder, read = await library.prepare(), []
    store.recorded = [str(default)]

    def read_later(path):
        read.append(path)
        return read_marker(path) if len(read) > 1 else None

    monkeypatch.setattr(locations, "read_marker", read_later)

    assert await library.problem(folder) is None


async def test_a_marker_is_written_when_it_changes(locate, default, monkeypatch):
    """Preparing a folder marks it once, and using it again marks it in any case."""
    written = []

    def write(*arguments):
        written.append(arguments)
        write_marker(*arguments)

    monkeypatch.setattr(locations, "write_marker", write)
    library, counts = locate(default), []
    for mark in (library.prepare, library.prepare, library.use_folder):
        await mark()
        counts.append(len(written))

    assert counts == [1, 1, 2]


async def test_the_records_are_asked_only_without_a_marker(locate, store, default, configured):
    """Only a folder without a marker is looked up in the records, by host if the database is on a server."""
    library = locate(default)
    await library.prepare()
    on_file = list(store.asked)
    assert await library.problem_text(await library.current_directory()) is None
    assert store.asked == on_file
    store.asked.clear()

    server = locate(None, configured)
    await server.prepare()

    assert on_file == [(True, None)]
    assert store.asked == [(False, server.host)]


async def test_an_unreadable_marker_is_a_problem(locate, default):
    """A folder whose marker cannot be read has that problem."""
    library = locate(default)
    folder = await library.prepare()
    Path(folder.path / MARKER).write_text("{")

    assert await library.problem_text(folder) == "its marker cannot be read"
