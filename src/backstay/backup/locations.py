"""Which folder the file of a backup is in, and whether that folder is this library's."""

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
from backstay.backup.location import FileLocation
from backstay.backup.store import BackupStore
from backstay.errors import BackupFolderUnrecognized, SettingsError


class BackupLocations:
    """Finds the folder of one database's backups: one named after the database, so that several may share a place."""

    def __init__(self, *, store: BackupStore, default_folder: Path | None, configured_folder: Path | None) -> None:
        self._store = store
        self._beside = default_folder
        self._chosen = configured_folder
        self._database_id: str | None = None
        self.host = socket.gethostname()

    @property
    def recorded_folder(self) -> str | None:
        """What a new backup's record says of its place: nothing when it is beside the database and moves with it."""
        return str(self._chosen) if self._chosen is not None else None

    @property
    def is_known(self) -> bool:
        """Whether there is a place for new backups."""
        return (self._chosen or self._beside) is not None

    async def current_directory(self) -> BackupDirectory:
        """Return where new backups go. Raises SettingsError: no place is set."""
        return await self._directory_at(self._chosen)

    async def prepare(self) -> BackupDirectory:
        """Return where new backups go, ready to be written to: there, and marked as this library's.

        Raises:
            SettingsError: no place is set.
            BackupFolderUnrecognized: like `check`.
            BackupDiskFull, BackupFailed: it cannot be made.
        """
        folder = await self.current_directory()
        await self.check(folder)
        await self._mark(folder, was=await self._marker(folder))
        return folder

    async def use_folder(self) -> BackupDirectory:
        """Make the folder of new backups this library's, whatever it was before. Idempotent. Raises like `ready`."""
        folder = await self.current_directory()
        await self._mark(folder, was=None)
        return folder

    async def check(self, folder: BackupDirectory) -> None:
        """Raise BackupFolderUnrecognized unless the folder is this library's, or new."""
        if (problem := await self.problem(folder)) is not None:
            fact, remedy = map(capitalized, problem)
            raise BackupFolderUnrecognized(f"{fact}. Nothing was written or deleted. {remedy}", path=str(folder.path))

    async def problem(self, folder: BackupDirectory) -> tuple[str, str] | None:
        """Return why nothing may be written to a folder, and the remedy; None where it may. Raises as `state`."""
        marker = await self._marker(folder)
        state = await self._state(folder, marker)
        if state is FolderState.MISSING:
            # Another process may have made the first backup between the two looks.
            marker = await self._marker(folder)
            state = await self._state(folder, marker)
        return describe_problem(folder.path, marker, state)

    async def state(self, folder: BackupDirectory) -> FolderState:
        """Return the state of a folder for this library. Raises BackupFolderUnrecognized: its marker cannot be read."""
        return await self._state(folder, await self._marker(folder))

    async def for_backup(self, backup: Backup) -> BackupDirectory:
        """Return where a backup is: where it was made or, when it was moved there since, where new ones go."""
        folder = await self._directory_at(Path(backup.folder) if backup.folder is not None else None)
        if self.is_known and not folder.has(backup.id):
            current = await self.current_directory()
            if current.has(backup.id):
                return current
        return folder

    async def is_unreachable(self, backup: Backup, folder: BackupDirectory) -> bool:
        """Whether it cannot be told from here what is in the folder of a backup.

        It may be on a disk that is not mounted, or on another machine, of which a folder of the same name here says
        nothing.
        """
        if folder.has(backup.id):
            return False
        return self.is_elsewhere(backup) or await self.state(folder) in (FolderState.MISSING, FolderState.FOREIGN)

    def is_elsewhere(self, backup: Backup) -> bool:
        """Whether another machine has made it, somewhere that is not beside the database."""
        return backup.folder is not None and backup.host not in (None, self.host)

    def path_for(self, backup: Backup, folder: BackupDirectory) -> str:
        """Return where a backup is, for people."""
        return f"{folder.path} on {backup.host}" if self.is_elsewhere(backup) else str(folder.path)

    async def _directory_at(self, place: Path | None) -> BackupDirectory:
        found = place or self._beside
        if found is None:
            raise SettingsError(
                "Nothing says where backups go: set BACKUP_DIRECTORY, or backup_directory in backstay.toml, to a "
                "folder on a disk of this machine",
                setting="backup_directory",
            )
        return BackupDirectory(found / await self._id())

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
            database=await self._store.location(),
            is_recorded=marker is None and await self._is_recorded(folder.path.parent),
        )

    async def _is_recorded(self, place: Path) -> bool:
        # A file is on one machine. A server's database is used from many, each with disks of its own.
        host = self.host if self._beside is None else None
        return await self._store.is_folder_recorded(str(place), is_default=place == self._beside, host=host)

    async def _mark(self, folder: BackupDirectory, *, was: FolderMarker | None) -> None:
        database_id, database = await self._id(), await self._store.location()

        def mark() -> None:
            folder.make_folder()
            marker = FolderMarker(database_id, database, FileLocation.from_path(folder.path))
            # Kept up to date, so that the next move is compared with the last location.
            if marker != was:
                with folder.translate_errors("written"):
                    write_marker(folder.path, marker)

        await asyncio.to_thread(mark)


def capitalized(text: str) -> str:
    """Return a text that begins a sentence."""
    return text[0].upper() + text[1:]
