"""Removal of expired backups, and of the leftovers of dead writers."""

import asyncio
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from backstay.backup.backup import Backup, BackupState
from backstay.backup.folder_marker import FolderState
from backstay.backup.locations import BackupLocations, capitalize_first
from backstay.backup.retention import RetentionAction, RetentionDecision, clock_problem, decide
from backstay.backup.store import BackupStores
from backstay.clock import Clock, to_text
from backstay.errors import BackstayError, BackupInUse, BackupUnreachable, BackupUnusable, ClockBehind
from backstay.logs import get_logger
from backstay.remedy import Remedy

_log = get_logger("backstay.backup")

_CLEANUP_INTERVAL = timedelta(days=1)
_MAX_WRITE_TIME = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class CleanupResult:
    """The decisions of a cleanup, which a dry run does not carry out."""

    decisions: Sequence[RetentionDecision]
    orphans: Sequence[str]
    """The ids in the names of files that belong to no backup."""
    orphans_removed: bool
    is_dry_run: bool


class Cleaner:
    """The cleaner of one owner's backups."""

    def __init__(
        self, *, stores: BackupStores, folders: BackupLocations, clock: Clock, owner: str, keep_newest: int
    ) -> None:
        self._stores = stores
        self._folders = folders
        self._clock = clock
        self._owner = owner
        self._keep_newest = keep_newest

    async def remove_leftovers(self) -> None:
        """Remove what dead writers left, and mark their backups as failed. Safe at any time, in any process."""
        if self._folders.is_known:
            folder = await self._folders.current_directory()
            # A writer that died before it had marked the folder left it new.
            is_own = await self._folders.state(folder) in (FolderState.OWN, FolderState.NEW)
            if is_own and (removed := await asyncio.to_thread(folder.remove_leftovers)):
                _log.info("part_files_removed", number=removed)
        for backup in await self._stores.records.in_use(self._owner):
            if backup.state is not BackupState.RUNNING or await self._is_being_written(backup):
                continue
            # If the writer finished after the record was read, the file belongs to a verified backup.
            if await self._stores.records.mark_failed(backup, "the process that wrote it died"):
                await self._remove_file(backup)

    async def clean(self, *, dry_run: bool = False, orphans: bool = False, at_once: bool = False) -> CleanupResult:
        """Remove expired backups, unless they are pinned, in use or among the newest. See `Backups.cleanup`.

        Because the clock may be wrong, the first cleanup that finds a backup expired only records it; a cleanup at
        least 24 hours later removes it.

        Raises:
            BackupFolderUnrecognized: `orphans` is set, and the folder is not known to be this library's.
            ClockBehind: an existing backup is newer than the clock; not with `at_once`.
            BackupUnreachable: a file cannot be removed; the next cleanup tries again.
        """
        now = self._clock.now()
        if not at_once:
            await self._refuse_clock_behind(now)
        if not dry_run:
            await self.remove_leftovers()
        backups = await self._stores.retention.with_files(self._owner)
        being_written = [backup.id for backup in backups if await self._is_being_written(backup)]
        decisions = decide(
            backups,
            now,
            being_written=being_written,
            keep_newest=self._keep_newest,
            without_file=await self._without_file(backups) if self._keep_newest else (),
            at_once=at_once,
        )
        folder = await self._folders.current_directory()
        if orphans:
            await self._folders.check(folder)
        unknown = await self._stores.records.unknown_ids(await asyncio.to_thread(folder.backup_ids))
        if not dry_run:
            unreachable = [error for decision in decisions if (error := await self._carry_out(decision)) is not None]
            if orphans:
                for backup_id in unknown:
                    await asyncio.to_thread(folder.remove, backup_id)
            if unreachable:
                raise unreachable[0]
            await self._stores.retention.record_cleanup(self._owner)
        return CleanupResult(decisions, unknown, orphans and not dry_run, dry_run)

    async def clean_daily(self) -> None:
        """Clean up without orphans, unless that was done within the last day. Errors are logged, not raised."""
        try:
            last, now = await self._stores.retention.last_cleanup(self._owner), self._clock.now()
            # A time in the future came from a wrong clock.
            if last is None or last > now or now - last >= _CLEANUP_INTERVAL:
                await self.clean()
        except BackstayError as error:
            _log.warning("cleanup_failed", code=error.code, error=error.message)

    async def remove(self, backup: Backup) -> None:
        """Remove a backup before it expires.

        Raises BackupInUse, BackupUnusable, BackupFolderUnrecognized, BackupUnreachable.
        """
        await self._folders.check(await self._folders.for_backup(backup))
        if backup.removed_at is not None:
            raise BackupUnusable(f"{backup.id} has already been removed", backup_id=backup.id, state=str(backup.state))
        if backup.state is not BackupState.EXPIRED and not await self._stores.retention.mark_expired(
            backup, early=True
        ):
            obstacle, remedy = (
                ("is pinned", Remedy.UNPIN_BACKUP)
                if backup.is_pinned
                else ("is needed by its unfinished delete", Remedy.RESUME_DELETE)
                if backup.is_delete_unfinished
                else ("is being written", None)
            )
            raise BackupInUse(f"{backup.id} {obstacle}", remedy=remedy, backup_id=backup.id)
        await self._finish_removal(backup)

    async def _refuse_clock_behind(self, now: datetime) -> None:
        newest = await self._stores.retention.newest(self._owner)
        if newest is not None and (problem := clock_problem(now, *newest)) is not None:
            backup_id, newest_at = newest
            raise ClockBehind(
                f"{capitalize_first(problem)}. Nothing was removed",
                now=to_text(now),
                newest=to_text(newest_at),
                backup_id=backup_id,
            )

    async def _carry_out(self, decision: RetentionDecision) -> BackupUnreachable | None:
        """Carry out a decision; return the error if a file cannot be removed, so that other decisions still follow."""
        match decision.action:
            case RetentionAction.KEEP | RetentionAction.WAIT:
                if decision.first_seen_expired_at != decision.backup.first_seen_expired_at:
                    await self._stores.retention.note_expired(decision.backup, decision.first_seen_expired_at)
                return None
            case RetentionAction.REMOVE if not await self._stores.retention.mark_expired(decision.backup, early=False):
                return None  # since the decision it was pinned, or is needed by a delete
        try:
            await self._finish_removal(decision.backup)
        except BackupUnreachable as error:
            return error
        if decision.backup.damaged_at is not None:
            _log.warning("damaged_backup_removed", backup=decision.backup.id, reason=decision.reason)
        return None

    async def _finish_removal(self, backup: Backup) -> None:
        # The record already says `expired`, which a reader checks again after it has opened the file.
        await self._remove_file(backup)
        await self._stores.retention.mark_removed(backup)
        _log.info("backup_removed", backup=backup.id)

    async def _remove_file(self, backup: Backup) -> None:
        folder = await self._folders.for_backup(backup)
        if await self._folders.state(folder) is FolderState.FOREIGN:
            return  # a copied database drops only its record; the file belongs to the original database
        if await self._folders.is_unreachable(backup, folder):
            path = self._folders.path_for(backup, folder)
            raise BackupUnreachable(
                f"The folder of {backup.id} cannot be reached from this machine: {path}. A cleanup that can reach it "
                "removes the file",
                path=path,
            )
        await asyncio.to_thread(folder.remove, backup.id)

    async def _without_file(self, backups: Iterable[Backup]) -> Collection[str]:
        """Return the ids of backups of which no complete file can be reached."""
        folders = [(backup, await self._folders.for_backup(backup)) for backup in backups]
        return await asyncio.to_thread(
            lambda: [backup.id for backup, folder in folders if not folder.has(backup.id, size=backup.file_bytes)]
        )

    async def _is_being_written(self, backup: Backup) -> bool:
        """Return whether a backup's writer is alive, or may be: its folder may be unreachable from this machine."""
        if backup.state is not BackupState.RUNNING:
            return False
        if self._folders.is_elsewhere(backup):
            # Only that machine can see the writer's lock, and it may be gone for good; but no write takes longer.
            return self._clock.now() - backup.created_at < _MAX_WRITE_TIME
        folder = await self._folders.for_backup(backup)
        if await self._folders.is_unreachable(backup, folder):
            return True
        return await asyncio.to_thread(folder.is_being_written, backup.id)
