"""Removing what has expired, and what dead writers left."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from backstay.backup.backup import Backup, BackupState
from backstay.backup.folder_marker import FolderState
from backstay.backup.locations import BackupLocations, capitalized
from backstay.backup.retention import RetentionAction, RetentionDecision, clock_problem, decide
from backstay.backup.store import BackupStore
from backstay.clock import Clock, to_text
from backstay.errors import BackstayError, BackupInUse, BackupUnreachable, BackupUnusable, ClockBehind
from backstay.logs import get_logger

_log = get_logger("backstay.backup")

_DAILY = timedelta(days=1)
_LONGEST_WRITE = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class CleanupResult:
    """What a cleanup did, or would do."""

    decisions: Sequence[RetentionDecision]
    orphans: Sequence[str]
    """Files that belong to no backup, by the id in their name."""
    orphans_removed: bool
    is_dry_run: bool


class Cleaner:
    """Cleans up the backups of one owner."""

    def __init__(self, *, store: BackupStore, folders: BackupLocations, clock: Clock, owner: str) -> None:
        self._store = store
        self._folders = folders
        self._clock = clock
        self._owner = owner

    async def remove_leftovers(self) -> None:
        """Remove what dead writers left, and note that their backups failed. Safe at any time, in any process."""
        if self._folders.is_known:
            folder = await self._folders.current_directory()
            is_own = await self._folders.state(folder) is FolderState.OWN
            if is_own and (swept := await asyncio.to_thread(folder.remove_leftovers)):
                _log.info("part_files_removed", number=swept)
        for backup in await self._store.in_use(self._owner):
            if backup.state is not BackupState.RUNNING or await self._is_being_written(backup):
                continue
            # The writer may have come to its end since the record was read: then the file is not nobody's.
            if await self._store.mark_failed(backup, "the process that wrote it died"):
                await self._remove_file(backup)

    async def clean(self, *, dry_run: bool = False, orphans: bool = False, at_once: bool = False) -> CleanupResult:
        """Remove what has expired, unless it is pinned or in use.

        The clock may be wrong once, so a backup that is found expired is noted, and removed when a cleanup at least 24
        hours later finds the same.

        Args:
            dry_run: Only say what would be done, and why.
            orphans: Remove files, too, that belong to no backup.
            at_once: Remove expired backups at once.

        Raises:
            BackupFolderUnrecognized: `orphans`, and the folder is not known to be this library's.
            ClockBehind: the clock is behind the time of a backup that still exists; not with `at_once`.
            BackupUnreachable: a file cannot be removed; what was begun is finished next time.
        """
        now = self._clock.now()
        if not at_once:
            await self._refuse_clock_behind(now)
        if not dry_run:
            await self.remove_leftovers()
        backups = await self._store.with_files(self._owner)
        being_written = [backup.id for backup in backups if await self._is_being_written(backup)]
        decisions = decide(backups, now, being_written=being_written, at_once=at_once)
        folder = await self._folders.current_directory()
        if orphans:
            await self._folders.check(folder)
        unknown = await self._store.unknown_ids(await asyncio.to_thread(folder.names))
        if not dry_run:
            unreachable = [error for decision in decisions if (error := await self._carry_out(decision)) is not None]
            if orphans:
                for name in unknown:
                    await asyncio.to_thread(folder.remove, name)
            if unreachable:
                raise unreachable[0]
            await self._store.record_cleanup(self._owner)
        return CleanupResult(decisions, unknown, orphans and not dry_run, dry_run)

    async def clean_daily(self) -> None:
        """Do the same without orphans, unless it was done within a day. What goes wrong is logged, not raised."""
        try:
            last, now = await self._store.last_cleanup(self._owner), self._clock.now()
            if last is None or last > now or now - last >= _DAILY:  # a time in the future came from a wrong clock
                await self.clean()
        except BackstayError as error:
            _log.warning("cleanup_failed", code=error.code, error=error.message)

    async def remove(self, backup: Backup) -> None:
        """Remove a backup before its time.

        Raises BackupInUse, BackupUnusable, BackupFolderUnrecognized, BackupUnreachable.
        """
        await self._folders.check(await self._folders.for_backup(backup))
        if backup.state is BackupState.EXPIRED and backup.removed_at is not None:
            raise BackupUnusable(f"{backup.id} was removed before", backup_id=backup.id, state=str(backup.state))
        if backup.state is not BackupState.EXPIRED and not await self._store.mark_expired(backup, early=True):
            why = (
                "is pinned; unpin it first"
                if backup.is_pinned
                else "is needed by its delete, which is unfinished; go on with that first"
                if backup.is_delete_unfinished
                else "is being written"
            )
            raise BackupInUse(f"{backup.id} {why}", backup_id=backup.id)
        await self._finish(backup)

    async def _refuse_clock_behind(self, now: datetime) -> None:
        newest = await self._store.newest(self._owner)
        if newest is not None and (problem := clock_problem(now, *newest)) is not None:
            fact, remedy = map(capitalized, problem)
            backup_id, made_at = newest
            raise ClockBehind(
                f"{fact}. Nothing was removed. {remedy}", now=to_text(now), newest=to_text(made_at), backup_id=backup_id
            )

    async def _carry_out(self, decision: RetentionDecision) -> BackupUnreachable | None:
        """Carry a decision out; return what kept its file from being removed. The others go all the same."""
        match decision.action:
            case RetentionAction.KEEP | RetentionAction.WAIT:
                if decision.first_seen_expired_at != decision.backup.first_seen_expired_at:
                    await self._store.note_expired(decision.backup, decision.first_seen_expired_at)
                return None
            case RetentionAction.REMOVE if not await self._store.mark_expired(decision.backup, early=False):
                return None  # it was pinned, or a delete needs it, since the decision was made
        try:
            await self._finish(decision.backup)
        except BackupUnreachable as error:
            return error
        if decision.backup.damaged_at is not None:
            _log.warning("damaged_backup_removed", backup=decision.backup.id, reason=decision.reason)
        return None

    async def _finish(self, backup: Backup) -> None:
        # The record first, then the file: a reader opens the file and then looks at the record again.
        await self._remove_file(backup)
        await self._store.mark_removed(backup)
        _log.info("backup_removed", backup=backup.id)

    async def _remove_file(self, backup: Backup) -> None:
        folder = await self._folders.for_backup(backup)
        if await self._folders.state(folder) is FolderState.FOREIGN:
            return  # a copied database forgets the backup; the file belongs to the database it was copied from
        if await self._folders.is_unreachable(backup, folder):
            place = self._folders.path_for(backup, folder)
            raise BackupUnreachable(
                f"The folder of {backup.id} cannot be seen from here: {place}. Its file is removed when it can",
                path=place,
            )
        await asyncio.to_thread(folder.remove, backup.id)

    async def _is_being_written(self, backup: Backup) -> bool:
        """Whether its writer lives, or nobody can tell from here."""
        if backup.state is not BackupState.RUNNING:
            return False
        if self._folders.is_elsewhere(backup):
            # Its machine looks after it; should that be gone for good, nobody writes for longer than this.
            return self._clock.now() - backup.created_at < _LONGEST_WRITE
        folder = await self._folders.for_backup(backup)
        if await self._folders.is_unreachable(backup, folder):
            return True
        return await asyncio.to_thread(folder.is_being_written, backup.id)
