"""Everything one can do with backups."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from pathlib import Path

from backstay.backup.backup import Backup, BackupImportRequest, Listener
from backstay.backup.cleanup import Cleaner, CleanupResult
from backstay.backup.deleter import DeleteService
from backstay.backup.locations import BackupLocations
from backstay.backup.reader import BackupReader, OpenBackup
from backstay.backup.restore_plan import OnConflict, RestorePlan, RestoreResult
from backstay.backup.restorer import Restorer
from backstay.backup.store import BackupStore, Snapshot
from backstay.backup.writer import BackupWriter
from backstay.errors import BackstayError, BackupFolderUnrecognized
from backstay.library.selection import Selection
from backstay.logs import get_logger

_log = get_logger("backstay.backup")

_REASON = "manual_backup"


class Backups:
    """The backups of one owner."""

    def __init__(
        self,
        *,
        store: BackupStore,
        folders: BackupLocations,
        writer: BackupWriter,
        reader: BackupReader,
        restorer: Restorer,
        cleaner: Cleaner,
        deleter: DeleteService,
        owner: str,
        keep: timedelta,
    ) -> None:
        self._store = store
        self._folders = folders
        self._writer = writer
        self._reading = reader
        self._restorer = restorer
        self._cleaner = cleaner
        self._deletions = deleter
        self._owner = owner
        self._keep = keep

    async def start(self) -> None:
        """Remove what writers that died have left. What goes wrong is logged: it must not keep anybody from working."""
        try:
            await self._cleaner.remove_leftovers()
        except BackstayError as error:
            _log.warning("sweep_failed", code=error.code, error=error.message)

    async def create(
        self,
        selection: Selection | Iterable[str],
        *,
        digest: str | None = None,
        reason: str = _REASON,
        expires_in: timedelta | None = None,
        on_progress: Listener | None = None,
    ) -> Backup:
        """Back up conversations, named by ids or by a selection; return the verified backup.

        Args:
            selection: Which conversations.
            digest: The digest of a delete's plan: the backup holds exactly what the plan shows. The caller deletes.
            reason: Why, for people; kept with the backup.
            expires_in: How long it is kept; by default BACKUP_RETENTION_DAYS.
            on_progress: Told how far it has come.

        Raises:
            EmptySelection: nothing is selected.
            ConversationNotFound: an id is not there; nothing was written.
            BackupFolderUnrecognized: a disk may not be mounted, or this database is a copy; nothing was written.
            PlanOutdated: something else is selected than the plan shows.
            BackupFailed: it could not be written, or did not pass its verification.
        """
        if not isinstance(selection, Selection):
            selection = Selection(ids=tuple(selection))
        expected = await self._deletions.count(selection, ignore_missing=digest is not None)
        backup = await self._writer.write(
            selection,
            reason=reason,
            keep=expires_in or self._keep,
            expected=expected,
            planned=digest,
            on_progress=on_progress,
        )
        await self._cleaner.clean_daily()
        return backup

    async def import_backup(self, other: BackupImportRequest, source: AbstractAsyncContextManager[Snapshot]) -> Backup:
        """Make a backup of ours of one that another program has made, under its id; its own file stays.

        Raises:
            BackupInUse: there is one of this id, or it is being made by somebody else.
            BackupFailed: it could not be written, or did not pass its verification; nothing of it is left.
        """
        return await self._writer.import_backup(other, source)

    async def list(self, *, every: bool = False, before: int | None = None, limit: int = 100) -> Sequence[Backup]:
        """Return backups, the latest first; with `every`, those too whose files are gone."""
        return await self._store.backups(self._owner, every=every, before=before, limit=limit)

    async def unfinished(self) -> Sequence[Backup]:
        """Return the backups whose delete was cut off."""
        return [backup for backup in await self._store.in_use(self._owner) if backup.is_delete_unfinished]

    async def show(self, backup_id: str) -> Backup:
        """Return one backup. Raises BackupNotFound."""
        return await self._store.backup(self._owner, backup_id)

    async def path_for(self, backup: Backup) -> Path:
        """Return where the file of a backup is, or was."""
        return (await self._folders.for_backup(backup)).path_for(backup.id)

    async def folder(self) -> tuple[Path, str | None]:
        """Return the folder where new backups go, and why it is refused, if so. Raises SettingsError: none is set."""
        folder = await self._folders.current_directory()
        try:
            problem = await self._folders.problem(folder)
        except BackupFolderUnrecognized:
            return folder.path, "its marker cannot be read"
        return folder.path, problem[0] if problem is not None else None

    async def use_folder(self) -> Path:
        """Make the folder where new backups go this library's own, whatever it was before. Idempotent.

        If it belonged to the database from which this one was copied, that database is refused there from then on.

        Raises:
            SettingsError: no folder is set.
            BackupDiskFull, BackupFailed: it cannot be made.
        """
        return (await self._folders.use_folder()).path

    async def verify(self, backup_id: str, *, on_progress: Listener | None = None) -> Backup:
        """Read a backup back, decode all of it, and compare it with what its snapshot found.

        It is `verified` then, or `damaged`, whatever it was before.

        Raises:
            BackupNotFound, BackupUnusable, BackupUnreachable: there is nothing to verify.
            BackupDamaged: it is not what was backed up.
        """
        return await self._reading.verify(backup_id, on_progress=on_progress)

    def open(self, backup_id: str) -> AbstractAsyncContextManager[OpenBackup]:
        """Open the file of a backup, to be read by the caller; it stays whole if the backup expires meanwhile.

        Raises BackupNotFound, BackupUnusable, BackupUnreachable, BackupDamaged when it is entered.
        """
        return self._reading.open(backup_id)

    async def count_written(self, backup: Backup) -> int:
        """Return how many conversations a backup holds so far that is being written, in whichever process."""
        return await self._store.count_written(backup)

    async def download(self, backup_id: str, *, compressed: bool = False) -> AsyncIterator[bytes]:
        """Yield the file of a backup as JSON or, compressed, as it is on disk.

        It stays whole if the backup expires meanwhile. Raises as `verify`: errors after the first block mean that what
        was yielded is of no use.
        """
        async with self._reading.open(backup_id) as found:
            blocks = found.stream_file(compressed=compressed)
            while block := await asyncio.to_thread(next, blocks, b""):
                yield block

    async def plan_restore(self, backup_id: str, selection: Selection | None = None) -> RestorePlan:
        """Say what `restore` would do. Errors as of `restore`."""
        return await self._restorer.plan(backup_id, selection)

    async def restore(
        self,
        backup_id: str,
        selection: Selection | None = None,
        *,
        on_conflict: OnConflict | str = OnConflict.FAIL,
        on_progress: Listener | None = None,
    ) -> RestoreResult:
        """Bring back what a backup holds, or the part of it that is selected: all or nothing, and twice is safe.

        Args:
            backup_id: The backup.
            selection: Which of its conversations; all when it is left out.
            on_conflict: What to do when another conversation is in the way: `fail`, `skip` or `replace`.
            on_progress: Told how far it has come.

        Raises:
            BackupNotFound, BackupUnusable, BackupUnreachable, BackupDamaged: there is nothing to restore from.
            ConversationNotFound, EmptySelection: what is selected is not in the backup.
            RestoreConflict: another conversation is in the way.
            ColumnsDiffer, RestoreDiffers: a conversation would differ from its backup.
        """
        choice = OnConflict(on_conflict)
        return await self._restorer.restore(backup_id, selection, on_conflict=choice, on_progress=on_progress)

    async def pin(self, backup_id: str) -> Backup:
        """Keep a backup for good. Raises BackupNotFound, BackupUnusable."""
        return await self._store.pin(self._owner, backup_id, pinned=True)

    async def unpin(self, backup_id: str) -> Backup:
        """Let a backup expire in its time. Raises BackupNotFound, BackupUnusable."""
        return await self._store.pin(self._owner, backup_id, pinned=False)

    async def delete(self, backup_id: str) -> None:
        """Remove a backup before its time. Raises BackupNotFound, BackupInUse."""
        await self._cleaner.remove(await self._store.backup(self._owner, backup_id))

    async def cleanup(self, *, dry_run: bool = False, orphans: bool = False, at_once: bool = False) -> CleanupResult:
        """Remove backups found expired now and at least 24 hours ago; note newly expired ones.

        Args:
            dry_run: Only say what would be done, and why.
            orphans: Also remove files that belong to no backup.
            at_once: Remove every expired backup by the current clock, whatever that shows.

        Raises:
            ClockBehind, BackupUnreachable.
        """
        return await self._cleaner.clean(dry_run=dry_run, orphans=orphans, at_once=at_once)
