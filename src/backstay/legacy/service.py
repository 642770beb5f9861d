"""Import of unfinished jobs and live backups from the original library.

The original library's tables and files do not change. What was imported before is left alone, so that the import
is idempotent, even in several processes at once and after an interruption.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain
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
from backstay.legacy import backup_file as files
from backstay.legacy import value_rules
from backstay.legacy.backup_source import AllocateKeys, LegacyFileSource
from backstay.legacy.imported_jobs import WaitingImportStore
from backstay.legacy.report import ImportedBackup, ImportedJob, LegacyReport, SkippedEntry
from backstay.legacy.store import CHECKPOINTS, EXPORTS, LegacyCheckpoint, LegacyExport, LegacyStore, LegacyTables
from backstay.library.id_text import check_id
from backstay.logs import get_logger

_log = get_logger("backstay.legacy")

# An error of these classes skips and reports one checkpoint or backup; the import continues.
_ENTRY_ERRORS = (InputError, BackupError, OutcomeRefused, SettingsError)


@dataclass(frozen=True, slots=True)
class BackupImporter:
    """The components that import one owner's backups: service, default retention and key allocation."""

    backups: Backups
    retention: timedelta
    allocate_keys: AllocateKeys


class LegacyImport:
    """An import from the original library."""

    def __init__(
        self,
        *,
        store: LegacyStore,
        waiting_imports: WaitingImportStore,
        importer_for: Callable[[str], BackupImporter],
        owner: str,
        folder: Path | None,
        clock: Clock,
    ) -> None:
        """Create an import.

        Args:
            store: The store of the original library's tables.
            waiting_imports: The store of the imported jobs, which wait for a run with all their items.
            importer_for: Returns an owner's importer of backups.
            owner: Owner of jobs, and of backups without a user.
            folder: Folder of the original library's backup files, unless their records name another.
            clock: The clock that decides which backups have expired.
        """
        self._store = store
        self._waiting_imports = waiting_imports
        self._importer_for = importer_for
        self._owner = owner
        self._folder = folder
        self._clock = clock
        self._importers: dict[str, BackupImporter] = {}

    async def check_source(self, source: str) -> None:
        """Check that the tables exist. Raises like `import_everything`."""

        def open_once() -> None:
            with self._store.open(source):
                pass

        await asyncio.to_thread(open_once)

    async def import_everything(
        self, source: str, *, check: bool = False, is_new_database: bool = False
    ) -> LegacyReport:
        """Import unfinished jobs and live backups from the schema `source`; report what was not imported, and why.

        Args:
            source: The schema of the original library's tables.
            check: Only report what would be done.
            is_new_database: Backstay's own tables do not exist yet, so nothing is looked up in them. Only with `check`.

        Raises:
            SettingsError: that schema has no tables of the original library.
            StorageError, BackupDiskFull: the import stopped; what was imported before is kept.
        """
        report = LegacyReport(source, check)
        with ExitStack() as stack:
            tables = await asyncio.to_thread(stack.enter_context, self._store.open(source))
            for checkpoint in await asyncio.to_thread(tables.checkpoints):
                await self._import_job(tables, checkpoint, report, is_new_database=is_new_database)
            for export in await asyncio.to_thread(tables.exports):
                await self._import_export(tables, export, report, is_new_database=is_new_database)
            for table, reason in tables.faults:
                totals = {CHECKPOINTS: report.job_totals, EXPORTS: report.backup_totals}[table]
                totals.skipped.append(SkippedEntry(table, reason))
        return report

    # -- jobs --------------------------------------------------------------------------------------------------------

    async def _import_job(
        self, tables: LegacyTables, checkpoint: LegacyCheckpoint, report: LegacyReport, *, is_new_database: bool
    ) -> None:
        totals, job_id = report.job_totals, checkpoint.job_id
        if job_id is None:
            totals.skipped.append(SkippedEntry("(without a job_id)", "a checkpoint must name its job"))
            return
        try:
            if not is_new_database and await self._waiting_imports.is_name_used(self._owner, job_id):
                totals.already_imported += 1
                return
            check_id(job_id, "the job_id")
            settled = await asyncio.to_thread(_settled_items, tables, job_id)
            if value_rules.is_finished(checkpoint.progress, len(settled)):
                totals.ended += 1
                return
            if not report.is_check and not await self._waiting_imports.add(self._owner, job_id, settled):
                totals.already_imported += 1
                return
        except _ENTRY_ERRORS as error:
            totals.skipped.append(SkippedEntry(job_id, error.message))
            return
        failed = sum(error is not None for error in settled.values())
        job = ImportedJob(job_id, self._owner, len(settled) - failed, failed)
        report.jobs.append(job)
        if not report.is_check:
            _log.info("job_imported", job=job_id, completed=job.completed, failed=job.failed)

    # -- backups -----------------------------------------------------------------------------------------------------

    async def _import_export(
        self, tables: LegacyTables, export: LegacyExport, report: LegacyReport, *, is_new_database: bool
    ) -> None:
        totals, backup_id = report.backup_totals, export.backup_id
        if backup_id is None:
            totals.skipped.append(SkippedEntry("(without a backup_id)", "a backup must have an id"))
            return
        try:
            expires_at = value_rules.expiry_time(export.expires_at)
            if expires_at is not None and expires_at <= self._clock.now():
                totals.ended += 1
                return
            if not is_backup_id(backup_id):
                raise InputUnreadable("its id does not have the form backup-1730720400123-abc123")
            if self._folder is None:
                raise InputUnreadable("no folder for backups is set: set BACKUP_DIRECTORY")
            owner = export.user_id or self._owner
            if not is_new_database and await self._is_imported(owner, backup_id):
                totals.already_imported += 1
                return
            ids = await asyncio.to_thread(_recorded_ids, tables, backup_id)
            paths = files.candidate_paths(backup_id, export.file_path, self._folder)
            source = await asyncio.to_thread(_examine, paths, export, backup_id, ids)
            if not report.is_check:
                await self._write_backup(owner, backup_id, export, source, expires_at)
        except BackupDiskFull:
            raise
        except BackupInUse:
            totals.already_imported += 1  # another process imports it, or has imported it since the check
            return
        except _ENTRY_ERRORS as error:
            totals.skipped.append(SkippedEntry(backup_id, error.message))
            return
        report.backups.append(ImportedBackup(backup_id, owner, source.conversations, expires_at))
        if not report.is_check:
            _log.info("backup_imported", backup=backup_id, conversations=source.conversations)

    async def _is_imported(self, owner: str, backup_id: str) -> bool:
        """Return whether a backup with this id was imported; a failed one is imported again."""
        try:
            return (await (await self._importer(owner)).backups.show(backup_id)).state is not BackupState.FAILED
        except BackupNotFound:
            return False

    async def _write_backup(
        self, owner: str, backup_id: str, export: LegacyExport, source: LegacyFileSource, expires_at: datetime | None
    ) -> None:
        importer = await self._importer(owner)
        request = BackupImportRequest(
            backup_id=backup_id,
            reason=value_rules.reason(export.reason),
            created_at=source.created_at,
            expires_at=expires_at,
            retention=importer.retention,
            conversations=source.conversations,
        )
        await importer.backups.import_backup(request, source.open(importer.allocate_keys))

    async def _importer(self, owner: str) -> BackupImporter:
        if owner not in self._importers:
            self._importers[owner] = self._importer_for(owner)
            # What a killed import left would count as imported. A check removes it too, as does opening a library.
            await self._importers[owner].backups.remove_leftovers()
        return self._importers[owner]


def _settled_items(tables: LegacyTables, job_id: str) -> dict[str, str | None]:
    """Return the settled items of a checkpoint, each with the reason if it failed. Blocks. Raises InputUnreadable.

    Of several items with the same id the first counts, so one that is both completed and failed is completed.
    """
    items: dict[str, str | None] = {}
    offsets = Counter[bool]()  # one for each of the two arrays
    with closing(tables.items(job_id)) as chunks:
        for has_failed, elements in chunks:
            for item_id, error in value_rules.settled_items(elements, offsets[has_failed], has_failed=has_failed):
                items.setdefault(item_id, error)
            offsets[has_failed] += len(elements)
    return items


def _recorded_ids(tables: LegacyTables, backup_id: str) -> set[str]:
    with closing(tables.conversation_ids(backup_id)) as chunks:
        elements = enumerate(chain.from_iterable(chunks))
        return {value_rules.identifier(element, f"conversation_ids[{number}]") for number, element in elements}


def _examine(paths: Sequence[Path], export: LegacyExport, backup_id: str, recorded: set[str]) -> LegacyFileSource:
    """Read the whole file, and compare its ids with those of its record. Blocks. Raises InputError."""
    source = LegacyFileSource(paths, value_rules.creation_time(export.created_at, backup_id))
    actual = source.examine()
    if (difference := value_rules.describe_difference(recorded, actual)) is not None:
        raise InputUnreadable(difference)
    if not actual:
        raise InputUnreadable("its file holds no conversation")
    return source
