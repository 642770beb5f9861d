"""The folder that holds the file of a backup, and the check that it belongs to this library."""

import asyncio
import socket
from pathlib import Path

from backstay.backup.backup import Backup
from backstay.backup.directory import BackupDirectory
from backstay.backup.folder_marker import (
    FolderMarker,
    FolderState,
    describe_problem,
    folder_state,
    read_marker,
    write_marker,
)
from backstay.backup.storage_identity import StorageIdentity
from backstay.backup.store import RecordStore
from backstay.errors import BackupFolderUnrecognized, SettingsError
from backstay.remedy import Remedy


class BackupLocations:
    """The folders of one database's backups.

    Each is a subfolder named after the database's id, so that several databases can share a backup directory.
    """

    def __init__(self, *, store: RecordStore, default_folder: Path | None, configured_folder: Path | None) -> None:
        self._store = store
        self._default_folder = default_folder
        self._configured_folder = configured_folder
        self._database_id: str | None = None
        self.host = socket.gethostname()

    @property
    def recorded_folder(self) -> str | None:
        """The folder that a new backup's record names; None for the default folder, which moves with the database."""
        return str(self._configured_folder) if self._configured_folder is not None else None

    @property
    def is_known(self) -> bool:
        """Whether a folder for new backups is known."""
        return (self._configured_folder or self._default_folder) is not None

    async def current_directory(self) -> BackupDirectory:
        """Return the folder for new backups. Raises SettingsError if none is set."""
        return await self._directory_at(self._configured_folder)

    async def prepare(self) -> BackupDirectory:
        """Create the folder for new backups if it is missing, mark it as this library's, and return it.

        Raises:
            SettingsError: no folder is set.
            BackupFolderUnrecognized: like `check`.
            BackupDiskFull, BackupFailed: it cannot be created.
        """
        folder = await self.current_directory()
        await self.check(folder)
        await self._mark(folder, previous=await self._marker(folder))
        return folder

    async def use_folder(self) -> BackupDirectory:
        """Mark the folder for new backups as this library's without checking it. Idempotent. Raises like `prepare`."""
        folder = await self.current_directory()
        await self._mark(folder, previous=None)
        return folder

    async def check(self, folder: BackupDirectory) -> None:
        """Raise BackupFolderUnrecognized unless the folder is this library's, or new."""
        if (problem := await self.problem(folder)) is not None:
            fact, remedy = problem
            directory = folder.path.parent
            if remedy is Remedy.MOUNT_BACKUP_FOLDER and directory != (self._configured_folder or self._default_folder):
                remedy = Remedy.MOUNT_EARLIER_FOLDER
            raise BackupFolderUnrecognized(
                f"{capitalize_first(fact)}. Nothing was written or deleted",
                remedy=remedy,
                path=str(folder.path),
                directory=str(directory),
            )

    async def problem(self, folder: BackupDirectory) -> tuple[str, Remedy] | None:
        """Return why backups may not be written to a folder, and the remedy; None if they may. Raises like `state`."""
        marker = await self._marker(folder)
        state = await self._state(folder, marker)
        if state is FolderState.MISSING:
            # Another process may have made the first backup since the marker was read.
            marker = await self._marker(folder)
            state = await self._state(folder, marker)
        return describe_problem(folder.path, marker, state)

    async def problem_text(self, folder: BackupDirectory) -> str | None:
        """Return why backups may not be written to a folder; None if they may."""
        try:
            problem = await self.problem(folder)
        except BackupFolderUnrecognized:
            return "its marker cannot be read"
        return problem[0] if problem is not None else None

    async def state(self, folder: BackupDirectory) -> FolderState:
        """Return the state of a folder for this library. Raises BackupFolderUnrecognized: its marker is unreadable."""
        return await self._state(folder, await self._marker(folder))

    async def for_backup(self, backup: Backup) -> BackupDirectory:
        """Return the folder for new backups if only that holds the backup's file, else where the backup was made."""
        folder = await self._directory_at(Path(backup.folder) if backup.folder is not None else None)
        if self.is_known and not folder.has(backup.id):
            current = await self.current_directory()
            if current.has(backup.id):
                return current
        return folder

    async def is_unreachable(self, backup: Backup, folder: BackupDirectory) -> bool:
        """Return whether this machine cannot determine what the folder of a backup holds.

        The folder may be on a disk that is not mounted, or on another machine; a folder with the same path on this one
        does not count.
        """
        if folder.has(backup.id):
            return False
        return self.is_elsewhere(backup) or await self.state(folder) in (FolderState.MISSING, FolderState.FOREIGN)

    def is_elsewhere(self, backup: Backup) -> bool:
        """Return whether a backup was made by another machine, outside the default folder."""
        return backup.folder is not None and backup.host not in (None, self.host)

    def path_for(self, backup: Backup, folder: BackupDirectory) -> str:
        """Return the path of a backup's folder, with its host if that is another machine."""
        return f"{folder.path} on {backup.host}" if self.is_elsewhere(backup) else str(folder.path)

    async def _directory_at(self, parent: Path | None) -> BackupDirectory:
        parent = parent or self._default_folder
        if parent is None:
            raise SettingsError(
                "No folder for backups is set: set BACKUP_DIRECTORY, or backup_directory in backstay.toml, to a "
                "folder on a disk of this machine",
                setting="backup_directory",
            )
        return BackupDirectory(parent / await self._id())

    async def _id(self) -> str:
        if self._database_id is None:
            self._database_id = await self._store.database_id()
        return self._database_id

    async def _marker(self, folder: BackupDirectory) -> FolderMarker | None:
        return await asyncio.to_thread(read_marker, folder.path)

    async def _state(self, folder: BackupDirectory, marker: FolderMarker | None) -> FolderState:
        return folder_state(
            folder.path,
            marker,
            database_id=await self._id(),
            database=await self._store.database_identity(),
            is_recorded=marker is None and await self._is_recorded(folder.path.parent),
        )

    async def _is_recorded(self, parent: Path) -> bool:
        # A database file is on one machine. A database on a server is used from many, each with its own disks.
        host = self.host if self._default_folder is None else None
        is_default = parent == self._default_folder
        return await self._store.is_folder_recorded(str(parent), is_default=is_default, host=host)

    async def _mark(self, folder: BackupDirectory, *, previous: FolderMarker | None) -> None:
        database_id, database = await self._id(), await self._store.database_identity()

        def mark() -> None:
            folder.make_folder()
            marker = FolderMarker(database_id, database, StorageIdentity.from_path(folder.path))
            # Update the identities, so that the next move is compared with the latest ones.
            if marker != previous:
                with folder.translate_errors("written"):
                    write_marker(folder.path, marker)

        await asyncio.to_thread(mark)


def capitalize_first(text: str) -> str:
    """Return a text with its first letter in upper case."""
    return text[0].upper() + text[1:]
