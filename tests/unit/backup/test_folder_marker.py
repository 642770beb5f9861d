"""The state of a folder of backups, according to its marker."""

from dataclasses import replace

import pytest

from backstay.backup.folder_marker import FolderMarker, FolderState, describe_problem, folder_state
from backstay.backup.storage_identity import StorageIdentity

_FILE = StorageIdentity("/data/backstay.db", "one", 5, 77)


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "backups"
    folder.mkdir()
    return folder


def _state(folder, *, database=_FILE, recorded=None, database_id="a"):
    marker = FolderMarker("a", _FILE, recorded or StorageIdentity.from_path(folder))
    return folder_state(folder, marker, database_id=database_id, database=database, is_recorded=True)


def test_a_folder_is_that_of_the_database_in_its_marker(folder):
    """A folder is OWN for the database in its marker, and FOREIGN for a copy of it or another database."""
    assert _state(folder) is FolderState.OWN
    assert _state(folder, database=replace(_FILE, inode=78)) is FolderState.FOREIGN
    assert _state(folder, database_id="b") is FolderState.FOREIGN


def test_a_container_and_its_host_have_one_folder(folder):
    """A container and its host, which see the same files under other names, both own the folder."""
    host = replace(StorageIdentity.from_path(folder), name="/srv/backups", machine="host")

    assert (
        _state(folder, database=replace(_FILE, name="/srv/backstay.db", machine="host"), recorded=host)
        is FolderState.OWN
    )


def test_a_copy_on_another_machine_has_no_right_to_a_shared_folder(folder):
    """A copied database on another machine does not own the original's folder, even mounted under another name."""
    share = replace(StorageIdentity.from_path(folder), name="/srv/share", machine="host")
    copy = StorageIdentity("/home/backstay.db", "other", 9, 12)

    assert _state(folder, database=copy, recorded=share) is FolderState.FOREIGN


def test_a_folder_that_was_copied_with_its_database_is_its_own(folder):
    """A folder that was copied together with its database is owned by the copied database."""
    original = StorageIdentity("/elsewhere/backups", "one", 5, 12_345_678_901)

    assert (
        _state(folder, database=replace(_FILE, name="/here/backstay.db", inode=78), recorded=original)
        is FolderState.OWN
    )


@pytest.mark.parametrize(("is_recorded", "state"), [(True, FolderState.MISSING), (False, FolderState.NEW)])
def test_a_folder_without_a_marker_is_new_or_missing(folder, is_recorded, state):
    """A folder without a marker is MISSING if backups were made there, and NEW otherwise."""
    assert folder_state(folder, None, database_id="a", database=_FILE, is_recorded=is_recorded) is state


def test_a_folder_that_was_made_anew_is_not_its_copys(folder):
    """A folder with another inode under its own name is no copy, so another database does not own it."""
    anew = replace(StorageIdentity.from_path(folder), inode=12_345_678_901)
    other = StorageIdentity("/elsewhere/backstay.db", "two", 9, 78)

    assert _state(folder, database=other, recorded=anew) is FolderState.FOREIGN
    assert _state(folder, database=replace(other, inode=_FILE.inode), recorded=anew) is FolderState.FOREIGN


def test_databases_on_servers_are_not_the_same_for_having_no_inode(folder):
    """Another database on a server does not own the folder, although neither database has an inode."""
    server = StorageIdentity("one/public", "cluster")
    marker = FolderMarker("a", server, StorageIdentity.from_path(folder))
    other = replace(server, name="two/public")

    states = [
        folder_state(folder, marker, database_id="a", database=database, is_recorded=True)
        for database in (server, other)
    ]

    assert states == [FolderState.OWN, FolderState.FOREIGN]


def test_only_a_marker_shows_that_a_folder_is_foreign(folder):
    """A folder has a problem if it is missing, or foreign by its marker."""
    marker = FolderMarker("a", _FILE, StorageIdentity.from_path(folder))

    problems = [
        describe_problem(folder, *known)
        for known in (
            (None, FolderState.MISSING),
            (marker, FolderState.FOREIGN),
            (None, FolderState.FOREIGN),
            (marker, FolderState.OWN),
            (None, FolderState.NEW),
        )
    ]

    assert [problem is not None for problem in problems] == [True, True, False, False, False]
