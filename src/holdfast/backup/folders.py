"""Which folder the file of a backup is in."""

from pathlib import Path

from holdfast.backup.backup import Backup
from holdfast.backup.folder import BackupFolder
from holdfast.backup.store import BackupStore


class Folders:
    """Finds the folder of one database's backups: one named after the database, so that several may share a place."""

    def __init__(self, *, store: BackupStore, beside: Path, chosen: Path | None) -> None:
        self._store = store
        self._beside = beside
        self._chosen = chosen
        self._database_id: str | None = None

    @property
    def recorded(self) -> str | None:
        """What a new backup's record says of its place: nothing when it is beside the database and moves with it."""
        return str(self._chosen) if self._chosen is not None else None

    async def current(self) -> BackupFolder:
        """Return where new backups go."""
        return await self._in(self._chosen)

    async def of(self, backup: Backup) -> BackupFolder:
        """Return where a backup is: where it was made or, when it was moved there since, where new ones go."""
        folder = await self._in(Path(backup.folder) if backup.folder is not None else None)
        if not folder.has(backup.id):
            current = await self.current()
            if current.has(backup.id):
                return current
        return folder

    async def _in(self, place: Path | None) -> BackupFolder:
        if self._database_id is None:
            self._database_id = await self._store.database_id()
        return BackupFolder((place or self._beside) / self._database_id)
