"""Whose a folder of backups is, by its marker."""

from dataclasses import replace

import pytest

from backstay.backup.folder_marker import FolderMarker, FolderState, folder_state
from backstay.backup.location import FileLocation

_FILE = FileLocation("/data/backstay.db", "one", 5, 77)


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "backups"
    folder.mkdir()
    return folder


def _state(folder, *, database=_FILE, was=None, database_id="a"):
    marker = FolderMarker("a", _FILE, was or FileLocation.from_path(folder))
    return folder_state(folder, marker, database_id=database_id, database=database, is_recorded=True)


def test_a_folder_is_that_of_the_database_in_its_marker(folder):
    """A copy of the database, or another one, has no right to it."""
    assert _state(folder) is FolderState.OWN
    assert _state(folder, database=replace(_FILE, inode=78)) is FolderState.FOREIGN
    assert _state(folder, database_id="b") is FolderState.FOREIGN


def test_a_container_and_its_host_have_one_folder(folder):
    """Both see the same files, under other names and on another machine."""
    host = replace(FileLocation.from_path(folder), name="/srv/backups", machine="host")

    assert _state(folder, database=replace(_FILE, name="/srv/backstay.db", machine="host"), was=host) is FolderState.OWN


def test_a_copy_on_another_machine_has_no_right_to_a_shared_folder(folder):
    """A share is mounted there under another name, and is the same folder."""
    share = replace(FileLocation.from_path(folder), name="/srv/share", machine="host")
    copy = FileLocation("/home/backstay.db", "other", 9, 12)

    assert _state(folder, database=copy, was=share) is FolderState.FOREIGN


def test_a_folder_that_was_copied_with_its_database_is_its_own(folder):
    """Neither is shared with the original then."""
    original = FileLocation("/elsewhere/backups", "one", 5, 12_345_678_901)

    assert _state(folder, database=replace(_FILE, name="/here/backstay.db", inode=78), was=original) is FolderState.OWN


@pytest.mark.parametrize(("is_recorded", "state"), [(True, FolderState.MISSING), (False, FolderState.NEW)])
def test_a_folder_without_a_marker_is_new_or_missing(folder, is_recorded, state):
    """It depends on whether backups were made there."""
    assert folder_state(folder, None, database_id="a", database=_FILE, is_recorded=is_recorded) is state
