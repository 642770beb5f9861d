"""Import of unfinished checkpoints and live backups from the original.

The original's tables and files do not change. What was imported before is skipped, so that the import is idempotent,
also in several processes at once and after an interruption.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from backstay.backup.backup import BackupImportRequest, BackupState
from backstay.backup.directory import is_backup_id
from backstay.backup.service import Backups
from backstay.clock import Clock
from backstay.errors import (
    BackupDiskFull,
    BackupError,
    BackupInUse,
    BackupNotFound,
    InputError,
    InputUnreadable,
    OutcomeRefused,
    SettingsError,
)
from backstay.legacy import file as files
from backstay.legacy import values
from backstay.legacy.report import ImportedBackup, ImportedJob, LegacyReport, SkippedEntry
from backstay.legacy.source import LegacyFileSource, Places
from backstay.legacy.store import CHECKPOINTS, EXPORTS, LegacyCheckpoint, LegacyExport, LegacyStore, LegacyTables
from backstay.legacy.waiting import WaitingImports
from backstay.library.id_text import check_id
from backstay.logs import get_logger

_log = get_logger("backstay.legacy")

# Errors of one checkpoint or backup, which is reported while the others are imported.
_OF_ONE = (InputError, BackupError, OutcomeRefused, SettingsError)


@dataclass(frozen=True, slots=True)
class BackupImporter:
    """The backups of one owner, their default retention, and the function that allocates keys."""

    backups: Backups
    keep: timedelta
    places: Places


class LegacyImport:
    """Import from the original."""

    def __init__(
        self,
        *,
        store: LegacyStore,
        jobs: WaitingImports,
        keepers: Callable[[str], BackupImporter],
        owner: str,
        folder: Path | None,
        clock: Clock,
    ) -> None:
        """Create an import.

        Args:
            store: The store of the original's tables.
            jobs: The imported jobs of `owner`.
            keepers: Returns the importer of backups for an owner.
            owner: Owner of jobs, and of backups without a user.
            folder: Folder of the original's backup files, unless their records name another.
            clock: The clock that decides which backups have expired.
        """
        self._store = store
        self._jobs = jobs
        self._keepers = keepers
        self._owner = owner
        self._folder = folder
        self._clock = clock
        self._known: dict[str, BackupImporter] = {}

    async def find(self, source: str) -> None:
        """Check that the tables exist. Raises like `import_everything`."""

        def open_once() -> None:
            with self._store.open(source):
                pass

        await asyncio.to_thread(open_once)

    async def import_everything(
        self, source: str, *, check: bool = False, nothing_is_here: bool = False
    ) -> LegacyReport:
        """Import unfinished jobs and live backups from the schema `source`; report what was not imported, and why.

        Args:
            source: The schema of the original's tables.
            check: Only report what would be done.
            nothing_is_here: Backstay's own tables do not exist yet, so that nothing can be looked up in them.

        Raises:
            SettingsError: that schema has no tables of the original.
            StorageError, BackupDiskFull: the import stopped; what was imported before is kept.
        """
        report = LegacyReport(source, check)
        with ExitStack() as stack:
            tables = await asyncio.to_thread(stack.enter_context, self._store.open(source))
            for checkpoint in await asyncio.to_thread(tables.checkpoints):
                await self._job(tables, checkpoint, report, is_new=nothing_is_here)
            for export in await asyncio.to_thread(tables.exports):
                await self._backup(tables, export, report, is_new=nothing_is_here)
            for table, reason in tables.faults:
                totals = {CHECKPOINTS: report.of_jobs, EXPORTS: report.of_backups}[table]
                totals.left.append(SkippedEntry(table, reason))
        return report

    # -- jobs --------------------------------------------------------------------------------------------------------

    async def _job(
        self, tables: LegacyTables, checkpoint: LegacyCheckpoint, report: LegacyReport, *, is_new: bool
    ) -> None:
        totals, job_id = report.of_jobs, checkpoint.job_id
        if job_id is None:
            totals.left.append(SkippedEntry("(without a job_id)", "a checkpoint must say of which job it is"))
            return
        try:
            if not is_new and await self._jobs.has(job_id):
                totals.there += 1
                return
            check_id(job_id, "the job_id")
            settled = await asyncio.to_thread(_settled_items, tables, job_id)
            if values.is_finished(checkpoint.progress, len(settled)):
                totals.over += 1
                return
            if not report.is_check and not await self._jobs.add(job_id, settled):
                totals.there += 1
                return
        except _OF_ONE as error:
            totals.left.append(SkippedEntry(job_id, error.message))
            return
        failed = sum(error is not None for error in settled.values())
        job = ImportedJob(job_id, self._owner, len(settled) - failed, failed)
        report.jobs.append(job)
        _log.info("job_imported", job=job_id, completed=job.completed, failed=job.failed)

    # -- backups -----------------------------------------------------------------------------------------------------

    async def _backup(self, tables: LegacyTables, export: LegacyExport, report: LegacyReport, *, is_new: bool) -> None:
        totals, name = report.of_backups, export.backup_id
        if name is None:
            totals.left.append(SkippedEntry("(without a backup_id)", "a backup must have an id"))
            return
        try:
            expires_at = values.expiry(export.expires_at)
            if expires_at is not None and expires_at <= self._clock.now():
                totals.over += 1
                return
            _check_name(name)
            if self._folder is None:
                raise InputUnreadable("no folder for backups is set: set BACKUP_DIRECTORY")
            owner = export.user_id or self._owner
            if not is_new and await self._is_here(owner, name):
                totals.there += 1
                return
            ids = await asyncio.to_thread(_recorded_ids, tables, name)
            paths = files.candidate_paths(name, export.file_path, self._folder)
            source = await asyncio.to_thread(_examine, paths, export, name, ids)
            if not report.is_check:
                await self._import_backup(owner, name, export, source, expires_at)
        except BackupDiskFull:
            raise
        except BackupInUse:
            totals.there += 1  # another process imports it, or has imported it since the check
            return
        except _OF_ONE as error:
            totals.left.append(SkippedEntry(name, error.message))
            return
        report.backups.append(ImportedBackup(name, owner, source.conversations, expires_at))
        _log.info("backup_imported", backup=name, conversations=source.conversations)

    async def _is_here(self, owner: str, name: str) -> bool:
        """Return whether a backup with this id was imported; a failed one is imported again."""
        try:
            return (await (await self._keeper(owner)).backups.show(name)).state is not BackupState.FAILED
        except BackupNotFound:
            return False

    async def _import_backup(
        self, owner: str, name: str, export: LegacyExport, source: LegacyFileSource, expires_at: datetime | None
    ) -> None:
        keeper = await self._keeper(owner)
        foreign = BackupImportRequest(
            backup_id=name,
            reason=values.reason(export.reason),
            created_at=source.created_at,
            expires_at=expires_at,
            keep=keeper.keep,
            conversations=source.conversations,
        )
        await keeper.backups.import_backup(foreign, source.opened(keeper.places))

    async def _keeper(self, owner: str) -> BackupImporter:
        if owner not in self._known:
            self._known[owner] = self._keepers(owner)
            # Leftovers of a killed import would prevent this one.
            await self._known[owner].backups.start()
        return self._known[owner]


def _settled_items(tables: LegacyTables, job_id: str) -> dict[str, str | None]:
    """Return the settled items of a checkpoint, each with why it failed, if it did. Blocks. Raises InputUnreadable.

    Of several with one id the first counts, so an item that is both completed and failed is completed.
    """
    items: dict[str, str | None] = {}
    first, before = 0, False
    for has_failed, elements in tables.items(job_id):
        first = first if has_failed is before else 0
        for item_id, error in values.settled(elements, first, has_failed=has_failed):
            items.setdefault(item_id, error)
        first, before = first + len(elements), has_failed
    return items


def _recorded_ids(tables: LegacyTables, backup_id: str) -> set[str]:
    ids: set[str] = set()
    for elements in tables.conversation_ids(backup_id):
        first = len(ids)
        ids |= {
            values.identifier(element, f"conversation_ids[{number}]")
            for number, element in enumerate(elements, start=first)
        }
    return ids


def _examine(paths: Sequence[Path], export: LegacyExport, name: str, recorded: set[str]) -> LegacyFileSource:
    """Read the whole file, and compare its ids with those of its record. Blocks. Raises InputError."""
    source = LegacyFileSource(paths, values.since(export.created_at, name))
    actual = source.examine()
    if (difference := values.difference(recorded, actual)) is not None:
        raise InputUnreadable(difference)
    if not actual:
        raise InputUnreadable("its file holds no conversation")
    return source


def _check_name(backup_id: str) -> None:
    if not is_backup_id(backup_id):
        raise InputUnreadable("its id does not have the form backup-1730720400123-abc123")
