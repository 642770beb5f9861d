"""The public API of backups. Its base inspects them."""

from collections.abc import Iterable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from pathlib import Path

from backstay.backup.backup import Backup, BackupImportRequest, Listener
from backstay.backup.cleanup import Cleaner, CleanupResult
from backstay.backup.deleter import DeleteService
from backstay.backup.inspection import BackupInspection
from backstay.backup.locations import BackupLocations
from backstay.backup.reader import BackupReader
from backstay.backup.restore_plan import RestorePlan, RestoreResult
from backstay.backup.restorer import Restorer
from backstay.backup.store import RecordStore, Snapshot
from backstay.backup.writer import BackupWriter
from backstay.errors import BackstayError
from backstay.library.choices import RestoreConflictPolicy
from backstay.library.selection import Selection
from backstay.logs import get_logger

_log = get_logger("backstay.backup")

_REASON = "manual_backup"


class Backups(BackupInspection):
    """The backups of one owner."""

    def __init__(
        self,
        *,
        store: RecordStore,
        folders: BackupLocations,
        writer: BackupWriter,
        reader: BackupReader,
        restorer: Restorer,
        cleaner: Cleaner,
        deleter: DeleteService,
        owner: str,
        retention: timedelta,
    ) -> None:
        super().__init__(store=store, folders=folders, reader=reader, owner=owner)
        self._writer = writer
        self._restorer = restorer
        self._cleaner = cleaner
        self._deleter = deleter
        self._retention = retention

    async def remove_leftovers(self) -> None:
        """Remove unfinished backups of dead processes. Only log errors, so that the library can still be used."""
        try:
            await self._cleaner.remove_leftovers()
        except BackstayError as error:
            _log.warning("leftover_removal_failed", code=error.code, error=error.message)

    async def create(
        self,
        selection: Selection | Iterable[str],
        *,
        plan_digest: str | None = None,
        reason: str = _REASON,
        retention: timedelta | None = None,
        on_progress: Listener | None = None,
    ) -> Backup:
        """Back up the conversations of a selection, or with the given ids; return the verified backup.

        Args:
            selection: The conversations.
            plan_digest: The digest of the plan of a delete that the caller makes; if the selection no longer matches
                that plan, nothing is backed up.
            reason: The reason, for people; kept with the backup.
            retention: How long the backup is kept; by default BACKUP_RETENTION_DAYS.
            on_progress: Called with the progress.

        Raises:
            EmptySelection: the selection matches no conversation.
            ConversationNotFound: a conversation does not exist; nothing was written.
            BackupFolderUnrecognized: a disk may not be mounted, or this database is a copy; nothing was written.
            PlanOutdated: the selection matches other conversations than the plan shows.
            BackupFailed: the backup could not be written, or failed its verification.
        """
        if not isinstance(selection, Selection):
            selection = Selection(ids=tuple(selection))
        expected = await self._deleter.count(selection, ignore_missing=plan_digest is not None)
        backup = await self._writer.write(
            selection,
            reason=reason,
            retention=self._retention if retention is None else retention,
            expected=expected,
            plan_digest=plan_digest,
            on_progress=on_progress,
        )
        await self._cleaner.clean_daily()
        return backup

    async def import_backup(
        self, request: BackupImportRequest, source: AbstractAsyncContextManager[Snapshot]
    ) -> Backup:
        """Import a backup of another program under its own id, and return the verified backup. The original file stays.

        Raises:
            BackupInUse: a backup with this id exists, or another process is importing it.
            BackupFailed: the backup could not be written, or failed its verification; no file is left.
        """
        return await self._writer.import_backup(request, source)

    async def use_folder(self) -> Path:
        """Mark the folder for new backups as this library's, whatever database it belonged to. Idempotent.

        If it belonged to the database from which this one was copied, that database can no longer use it.

        Raises:
            SettingsError: no folder is set.
            BackupDiskFull, BackupFailed: it cannot be created.
        """
        return (await self._folders.use_folder()).path

    async def plan_restore(self, backup_id: str, selection: Selection | None = None) -> RestorePlan:
        """Return what `restore` would do. Raises like `restore`, except that conflicts are part of the plan."""
        return await self._restorer.plan(backup_id, selection)

    async def restore(
        self,
        backup_id: str,
        selection: Selection | None = None,
        *,
        on_conflict: RestoreConflictPolicy | str = RestoreConflictPolicy.FAIL,
        on_progress: Listener | None = None,
    ) -> RestoreResult:
        """Restore the conversations of a backup, or those selected, all or none of them. Idempotent.

        Args:
            backup_id: The backup.
            selection: Which of its conversations to restore; all by default, but not with an empty selection.
            on_conflict: What to do with conversations that conflict: `fail`, `skip` or `replace`.
            on_progress: Called with the progress.

        Raises:
            BackupNotFound, BackupUnusable, BackupUnreachable, BackupDamaged: the backup cannot be used.
            ConversationNotFound, EmptySelection: nothing is selected, or the backup does not hold it.
            RestoreConflict: a conversation conflicts with another one in the library.
            ColumnsDiffer, RestoreDiffers: a restored conversation would differ from the backup.
        """
        policy = RestoreConflictPolicy(on_conflict)
        return await self._restorer.restore(backup_id, selection, on_conflict=policy, on_progress=on_progress)

    async def pin(self, backup_id: str) -> Backup:
        """Keep a backup until it is unpinned. Raises BackupNotFound, BackupUnusable."""
        return await self._store.pin(self._owner, backup_id, pinned=True)

    async def unpin(self, backup_id: str) -> Backup:
        """Let a backup expire again. Raises BackupNotFound, BackupUnusable."""
        return await self._store.pin(self._owner, backup_id, pinned=False)

    async def delete(self, backup_id: str) -> None:
        """Remove a backup before it expires. Raises BackupNotFound, BackupInUse."""
        await self._cleaner.remove(await self._store.backup(self._owner, backup_id))

    async def cleanup(self, *, dry_run: bool = False, orphans: bool = False, at_once: bool = False) -> CleanupResult:
        """Remove backups that are expired now and were already found expired 24 hours ago; record newly expired ones.

        The newest BACKUP_KEEP_NEWEST verified backups are kept whatever their age.

        Args:
            dry_run: Only report what would be done, and why.
            orphans: Also remove files that belong to no backup.
            at_once: Remove every backup that is expired by the current clock, even if the clock may be wrong.

        Raises:
            ClockBehind, BackupUnreachable.
        """
        return await self._cleaner.clean(dry_run=dry_run, orphans=orphans, at_once=at_once)
