"""The marker of a folder of backups: a small file that records which database the folder belongs to.

If backups were made in a folder and it now has no marker, its disk is not mounted. A copied database has the same id
but another identity, so the folder belongs to the database from which it was copied.
"""

import os
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import orjson

from backstay.backup.directory import MARKER, READ_FLAGS
from backstay.backup.storage_identity import StorageIdentity
from backstay.errors import BackupFolderUnrecognized
from backstay.files import replace_atomically
from backstay.remedy import Remedy

_MAX_MARKER_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class FolderMarker:
    """The content of a marker."""

    database_id: str
    database: StorageIdentity
    folder: StorageIdentity
    """The identity of the folder itself: a copy of the folder is not shared with the original database."""


class FolderState(StrEnum):
    """The relation of a folder to a library."""

    OWN = "own"
    NEW = "new"
    """No backup was made there yet."""
    MISSING = "missing"
    """Backups were made there, but the folder has no marker now: its disk may not be mounted."""
    FOREIGN = "foreign"
    """It belongs to the database from which this one was copied, or to this one before it was moved or replaced."""


def folder_state(
    folder: Path, marker: FolderMarker | None, *, database_id: str, database: StorageIdentity, is_recorded: bool
) -> FolderState:
    """Return the state of a folder for a database.

    Args:
        folder: The folder.
        marker: Its marker, if it has one.
        database_id: The id of the database.
        database: The identity of the database.
        is_recorded: Whether the database records that backups were made in the folder.
    """
    if marker is None:
        return FolderState.MISSING if is_recorded else FolderState.NEW
    if marker.database_id != database_id:
        return FolderState.FOREIGN
    current, recorded = StorageIdentity.from_path(folder), marker.folder
    has_same_inode = recorded.inode == current.inode
    # A folder that was copied together with its database is not shared with the original.
    is_copied = not has_same_inode and (recorded.name, recorded.machine) != (current.name, current.machine)
    # A container and its host see the same folder and the same database file under different names.
    is_same_under_other_name = has_same_inode and database.inode is not None and marker.database.inode == database.inode
    is_own = is_copied or is_same_under_other_name or marker.database.is_same(database)
    return FolderState.OWN if is_own else FolderState.FOREIGN


def describe_problem(folder: Path, marker: FolderMarker | None, state: FolderState) -> tuple[str, Remedy] | None:
    """Return why backups may not be written to or removed from a folder, and the remedy; None if they may."""
    if state is FolderState.MISSING:
        return (
            f"backups were made in {folder}, but what is there now is not that folder: a disk may not be mounted",
            Remedy.MOUNT_BACKUP_FOLDER,
        )
    if state is FolderState.FOREIGN and marker is not None:
        return (
            f"{folder} belongs to the database {marker.database}; this one is a copy of it, was moved from another "
            "disk, or has replaced it",
            Remedy.CHOOSE_BACKUP_FOLDER,
        )
    return None


def read_marker(folder: Path) -> FolderMarker | None:
    """Return the marker of a folder, or None. Raises BackupFolderUnrecognized if it cannot be read."""
    path = folder / MARKER
    try:
        descriptor = os.open(path, READ_FLAGS)
        with os.fdopen(descriptor, "rb") as file:
            fields = orjson.loads(file.read(_MAX_MARKER_BYTES))
        return FolderMarker(
            str(fields["database_id"]), StorageIdentity(**fields["database"]), StorageIdentity(**fields["folder"])
        )
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise BackupFolderUnrecognized(
            f"{path}, which says which database the folder belongs to, cannot be read. Nothing was written or deleted",
            remedy=Remedy.MARK_BACKUP_FOLDER,
            path=str(path),
        ) from error


def write_marker(folder: Path, marker: FolderMarker) -> None:
    """Write or replace the marker of an existing folder, atomically. Raises OSError."""
    with replace_atomically(folder / MARKER) as file:
        file.write(orjson.dumps(marker, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
