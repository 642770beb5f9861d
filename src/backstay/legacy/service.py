"""Taking over what is unfinished and what is alive in the original's tables.

Nothing of the original is changed: neither its tables nor its files. Whatever is here already is left alone, so that
taking over twice, or many at once, or again after it was cut off, does nothing twice.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Generator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from backstay.backup.backup import BackupImportRequest, BackupState
from backstay.backup.directory import is_backup_id
from backstay.backup.service import Backups
from backstay.batch.item import SettledItem
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
from backstay.legacy.jobs import LegacyJobImporter
from backstay.legacy.report import ImportedBackup, ImportedJob, LegacyReport, SkippedEntry
from backstay.legacy.source import LegacyFileSource, Places, in_thread
from backstay.legacy.store import CHECKPOINTS, EXPORTS, LegacyCheckpoint, LegacyExport, LegacyStore, LegacyTables
from backstay.library.id_text import check_id
from backstay.logs import get_logger

_log = get_logger("backstay.legacy")

# What concerns one checkpoint or one backup, and is told of it while the others go on.
_OF_ONE = (InputError, BackupError, OutcomeRefused, SettingsError)


@dataclass(frozen=True, slots=True)
class BackupImporter:
    """The backups of one owner, how long one is kept by default, and what gives conversations their places."""

    backups: Backups
    keep: timedelta
    places: Places


class LegacyImport:
    """Takes over from the original."""

    def __init__(
        self,
        *,
        store: LegacyStore,
        jobs: LegacyJobImporter,
        keepers: Callable[[str], BackupImporter],
        owner: str,
        folder: Path | None,
        clock: Clock,
    ) -> None:
        """Say with what.

        Args:
            store: Where the original keeps its tables.
            jobs: Takes over the jobs of `owner`.
            keepers: Gives what keeps an owner's backups.
            owner: Whose is what the original keeps for nobody: jobs, and backups without a user.
            folder: Where the original's backup files are, unless their records say.
            clock: Tells what has expired.
        """
        self._store = store
        self._jobs = jobs
        self._keepers = keepers
        self._owner = owner
        self._folder = folder
        self._clock = clock
        self._known: dict[str, BackupImporter] = {}

    async def find(self, source: str) -> None:
        """See that there is something to take over from. Raises as `take_over`."""

        def look() -> None:
            with self._store.open(source):
                pass

        await asyncio.to_thread(look)

    async def import_everything(
        self, source: str, *, check: bool = False, nothing_is_here: bool = False
    ) -> LegacyReport:
        """Take over what is unfinished and alive in the schema `source`, and say what was left, and why.

        Args:
            source: The schema that the original keeps its tables in.
            check: Only say what would be done.
            nothing_is_here: Our own tables are still to be made, so that nothing can be looked up in them.

        Raises:
            SettingsError: there are no tables of the original in that schema.
            StorageError, BackupDiskFull: it cannot go on; what was taken over before is kept.
        """
        report = LegacyReport(source, check)
        with ExitStack() as stack:
            tables = await asyncio.to_thread(stack.enter_context, self._store.open(source))
            for checkpoint in await asyncio.to_thread(tables.checkpoints):
                await self._job(tables, checkpoint, report, is_new=nothing_is_here)
            for export in await asyncio.to_thread(tables.exports):
                await self._backup(tables, export, report, is_new=nothing_is_here)
            for table, reason in tables.faults:
                part = {CHECKPOINTS: report.of_jobs, EXPORTS: report.of_backups}[table]
                part.left.append(SkippedEntry(table, reason))
        return report

    # -- jobs --------------------------------------------------------------------------------------------------------

    async def _job(
        self, tables: LegacyTables, checkpoint: LegacyCheckpoint, report: LegacyReport, *, is_new: bool
    ) -> None:
        part, job_id = report.of_jobs, checkpoint.job_id
        if job_id is None:
            part.left.append(SkippedEntry("(without a job_id)", "a checkpoint must say of which job it is"))
            return
        try:
            if not is_new and await self._jobs.has(job_id):
                part.there += 1
                return
            check_id(job_id, "the job_id")
            # All of it is read before anything is made: one that holds something of no use is left whole.
            counted = _CountedItems()
            async for chunk in _settled(tables, job_id):
                counted.add(chunk)
            if values.is_finished(checkpoint.progress, counted.items):
                part.over += 1
                return
            if not report.is_check and not await self._jobs.import_job(job_id, _settled(tables, job_id)):
                part.there += 1
                return
        except _OF_ONE as error:
            part.left.append(SkippedEntry(job_id, error.message))
            return
        report.jobs.append(ImportedJob(job_id, self._owner, counted.completed, counted.failed))
        _log.info("job_taken_over", job=job_id, completed=counted.completed, failed=counted.failed)

    # -- backups -----------------------------------------------------------------------------------------------------

    async def _backup(self, tables: LegacyTables, export: LegacyExport, report: LegacyReport, *, is_new: bool) -> None:
        part, name = report.of_backups, export.backup_id
        if name is None:
            part.left.append(SkippedEntry("(without a backup_id)", "a backup must have an id"))
            return
        try:
            expires_at = values.expiry(export.expires_at)
            if expires_at is not None and expires_at <= self._clock.now():
                part.over += 1
                return
            _check_name(name)
            if self._folder is None:
                raise InputUnreadable("nothing says where backups are, and where ours go: set BACKUP_DIRECTORY")
            owner = export.user_id or self._owner
            if not is_new and await self._is_here(owner, name):
                part.there += 1
                return
            said = await asyncio.to_thread(_said, tables, name)
            paths = files.candidate_paths(name, export.file_path, self._folder)
            source = await asyncio.to_thread(_looked_at, paths, export, name, said)
            if not report.is_check:
                await self._import_backup(owner, name, export, source, expires_at)
        except BackupDiskFull:
            raise
        except BackupInUse:
            part.there += 1  # somebody else takes it over just now, or has done so since it was looked for
            return
        except _OF_ONE as error:
            part.left.append(SkippedEntry(name, error.message))
            return
        report.backups.append(ImportedBackup(name, owner, source.conversations, expires_at))
        _log.info("backup_taken_over", backup=name, conversations=source.conversations)

    async def _is_here(self, owner: str, name: str) -> bool:
        """Whether a backup of ours has this id. One whose making has failed has not: it is made again."""
        try:
            return (await (await self._keeper(owner)).backups.show(name)).state is not BackupState.FAILED
        except BackupNotFound:
            return False

    async def _import_backup(
        self, owner: str, name: str, export: LegacyExport, source: LegacyFileSource, expires_at: datetime | None
    ) -> None:
        keeper = await self._keeper(owner)
        other = BackupImportRequest(
            backup_id=name,
            reason=values.reason(export.reason),
            created_at=source.created_at,
            expires_at=expires_at,
            keep=keeper.keep,
            conversations=source.conversations,
        )
        await keeper.backups.import_backup(other, source.opened(keeper.places))

    async def _keeper(self, owner: str) -> BackupImporter:
        if owner not in self._known:
            self._known[owner] = self._keepers(owner)
            # What somebody who was killed has left of a backup is in the way of making it again.
            await self._known[owner].backups.start()
        return self._known[owner]


class _CountedItems:
    """How many items a checkpoint has, each counted as often as it stands there."""

    def __init__(self) -> None:
        self._completed: set[str] = set()
        self._failed: set[str] = set()

    def add(self, items: Sequence[SettledItem]) -> None:
        for item in items:
            (self._completed if item.error is None else self._failed).add(item.id)

    @property
    def completed(self) -> int:
        return len(self._completed)

    @property
    def failed(self) -> int:
        return len(self._failed - self._completed)

    @property
    def items(self) -> int:
        return self.completed + self.failed


async def _settled(tables: LegacyTables, job_id: str) -> AsyncIterator[Sequence[SettledItem]]:
    def items() -> Generator[Sequence[SettledItem]]:
        first, before = 0, False
        for has_failed, elements in tables.items(job_id):
            first = first if has_failed is before else 0
            yield values.settled(elements, first, has_failed=has_failed)
            first, before = first + len(elements), has_failed

    with closing(items()) as found:
        async for chunk in in_thread(found):
            yield chunk


def _said(tables: LegacyTables, backup_id: str) -> set[str]:
    said: set[str] = set()
    for elements in tables.conversation_ids(backup_id):
        first = len(said)
        said |= {
            values.identifier(element, f"conversation_ids[{number}]")
            for number, element in enumerate(elements, start=first)
        }
    return said


def _looked_at(paths: Sequence[Path], export: LegacyExport, name: str, said: set[str]) -> LegacyFileSource:
    """Read the whole file, and compare it with what its record says. Blocks. Raises InputError."""
    source = LegacyFileSource(paths, values.since(export.created_at, name))
    held = source.examine()
    if (fault := values.difference(said, held)) is not None:
        raise InputUnreadable(fault)
    if not held:
        raise InputUnreadable("its file holds no conversation")
    return source


def _check_name(backup_id: str) -> None:
    if not is_backup_id(backup_id):
        raise InputUnreadable("its id is not of the form backup-1730720400123-abc123, so that ours cannot have it")
