"""Which folder the file of a backup is in."""

import socket
from pathlib import Path

from backstay.backup.backup import Backup
from backstay.backup.folder import BackupFolder
from backstay.backup.store import BackupStore
from backstay.errors import SettingsError


class Folders:
    """Finds the folder of one database's backups: one named after the database, so that several may share a place."""

    def __init__(self, *, store: BackupStore, beside: Path | None, chosen: Path | None) -> None:
        self._store = store
        self._beside = beside
        self._chosen = chosen
        self._database_id: str | None = None
        self.host = socket.gethostname()

    @property
    def recorded(self) -> str | None:
        """What a new backup's record says of its place: nothing when it is beside the database and moves with it."""
        return str(self._chosen) if self._chosen is not None else None

    @property
    def is_known(self) -> bool:
        """Whether there is a place for new backups."""
        return (self._chosen or self._beside) is not None

    async def current(self) -> BackupFolder:
        """Return where new backups go. Raises SettingsError: nobody has said where."""
        return await self._in(self._chosen)

    async def of(self, backup: Backup) -> BackupFolder:
        """Return where a backup is: where it was made or, when it was moved there since, where new ones go."""
        folder = await self._in(Path(backup.folder) if backup.folder is not None else None)
        if self.is_known and not folder.has(backup.id):
            current = await self.current()
            if current.has(backup.id):
                return current
        return folder

    def is_out_of_sight(self, backup: Backup, folder: BackupFolder) -> bool:
        """Whether it cannot be told from here what is in the folder of a backup.

        One that somebody chose may be on a disk that is not mounted, or on another machine, of which a folder of the
        same name here says nothing. One beside the database is there or gone.
        """
        if backup.folder is None or folder.has(backup.id):
            return False
        return not folder.path.is_dir() or self.is_elsewhere(backup)

    def is_elsewhere(self, backup: Backup) -> bool:
        """Whether another machine has made it, somewhere that is not beside the database."""
        return backup.folder is not None and backup.host not in (None, self.host)

    def place_of(self, backup: Backup, folder: BackupFolder) -> str:
        """Return where a backup is, for people."""
        return f"{folder.path} on {backup.host}" if self.is_elsewhere(backup) else str(folder.path)

    async def _in(self, place: Path | None) -> BackupFolder:
        found = place or self._beside
        if found is None:
            raise SettingsError(
                "Nothing says where backups go: set BACKUP_DIRECTORY, or backup_directory in backstay.toml, to a "
                "folder on a disk of this machine",
                setting="backup_directory",
            )
        if self._database_id is None:
            self._database_id = await self._store.database_id()
        return BackupFolder(found / self._database_id)
