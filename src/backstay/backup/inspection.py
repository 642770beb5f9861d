"""Inspection of backups: their records, their files, and whether these are intact."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from pathlib import Path

from backstay.backup.backup import Backup, BackupState, Listener
from backstay.backup.locations import BackupLocations
from backstay.backup.reader import BackupReader, OpenBackup
from backstay.backup.store import RecordStore
from backstay.errors import SettingsError


class BackupInspection:
    """Read access to the backups of one owner, and their verification."""

    def __init__(self, *, store: RecordStore, folders: BackupLocations, reader: BackupReader, owner: str) -> None:
        self._store = store
        self._folders = folders
        self._reader = reader
        self._owner = owner

    async def list(
        self, *, include_removed: bool = False, before: int | None = None, limit: int = 100
    ) -> Sequence[Backup]:
        """Return backups, latest first.

        Args:
            include_removed: Also return backups whose files were removed.
            before: Return only backups older than the one with this `key`.
            limit: How many to return at most.
        """
        backups = await self._store.backups(self._owner, include_removed=include_removed, before=before, limit=limit)
        return [await self._with_file_state(backup) for backup in backups]

    async def with_unfinished_delete(self) -> Sequence[Backup]:
        """Return the backups of deletes that have begun and not ended."""
        return [backup for backup in await self._store.in_use(self._owner) if backup.is_delete_unfinished]

    async def show(self, backup_id: str) -> Backup:
        """Return one backup. Raises BackupNotFound."""
        return await self._with_file_state(await self._store.backup(self._owner, backup_id))

    async def _with_file_state(self, backup: Backup) -> Backup:
        if backup.state not in (BackupState.VERIFIED, BackupState.DAMAGED) or self._folders.is_elsewhere(backup):
            return backup
        try:
            folder = await self._folders.for_backup(backup)
        except SettingsError:  # without a folder there is nowhere to look
            return backup
        return replace(backup, is_file_missing=not folder.has(backup.id))

    async def path_for(self, backup: Backup) -> Path:
        """Return the path of a backup's file, which may have been removed."""
        return (await self._folders.for_backup(backup)).path_for(backup.id)

    async def folder(self) -> tuple[Path, str | None]:
        """Return the folder for new backups and, if it is refused, the reason. Raises SettingsError if none is set."""
        folder = await self._folders.current_directory()
        return folder.path, await self._folders.problem_text(folder)

    async def verify(self, backup_id: str, *, on_progress: Listener | None = None) -> Backup:
        """Read the file of a backup, compare it with what was backed up, and record it as `verified` or `damaged`.

        Raises:
            BackupNotFound, BackupUnusable, BackupUnreachable: the backup cannot be verified.
            BackupDamaged: it differs from what was backed up.
        """
        return await self._reader.verify(backup_id, on_progress=on_progress)

    def open(self, backup_id: str) -> AbstractAsyncContextManager[OpenBackup]:
        """Open the file of a backup for the caller to read; it stays readable if the backup expires meanwhile.

        Raises BackupNotFound, BackupUnusable, BackupUnreachable, BackupDamaged when the context is entered.
        """
        return self._reader.open(backup_id)

    async def count_written(self, backup: Backup) -> int:
        """Return how many conversations were written so far to a running backup, by any process."""
        return await self._store.count_written(backup)

    async def download(self, backup_id: str, *, compressed: bool = False) -> AsyncIterator[bytes]:
        """Yield the file of a backup as JSON or, compressed, as it is on disk.

        It stays readable if the backup expires meanwhile. Raises like `verify`: after an error, the blocks yielded
        before are invalid.
        """
        async with self._reader.open(backup_id) as opened:
            blocks = opened.stream_file(compressed=compressed)
            while block := await asyncio.to_thread(next, blocks, b""):
                yield block
