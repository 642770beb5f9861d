"""The result of an import from the original library."""

from typing import Self

from backstay.legacy.report import ImportTotals, LegacyReport, SkippedEntry
from backstay.schemas.base import ApiObject, Moment
from backstay.schemas.migrations import MigrationOut


class SkippedEntryOut(ApiObject):
    """An entry that was not imported, and why."""

    id: str
    reason: str

    @classmethod
    def from_entry(cls, entry: SkippedEntry) -> Self:
        return cls(id=entry.id, reason=entry.reason)


class ImportedJobOut(ApiObject):
    id: str
    owner: str
    completed: int
    failed: int


class ImportedBackupOut(ApiObject):
    """An imported backup. `expires_at` is null if it is pinned, because the original library never lets it expire."""

    backup_id: str
    owner: str
    conversations: int
    expires_at: Moment | None


class ImportedJobsOut(ApiObject):
    """Checkpoints: those imported; how many were imported before, or were finished; and those skipped, as `left`."""

    imported: list[ImportedJobOut]
    there: int
    finished: int
    left: list[SkippedEntryOut]


class ImportedBackupsOut(ApiObject):
    """Backups: those imported; how many were imported before, or have expired; and those skipped, as `left`."""

    imported: list[ImportedBackupOut]
    there: int
    expired: int
    left: list[SkippedEntryOut]


class LegacyImportOut(ApiObject):
    """The result of an import. With `is_check` nothing was imported; it says what would be."""

    source: str
    is_check: bool
    migration: MigrationOut
    jobs: ImportedJobsOut
    backups: ImportedBackupsOut

    @classmethod
    def from_report(cls, report: LegacyReport, migration: MigrationOut) -> Self:
        jobs = [ImportedJobOut(id=j.id, owner=j.owner, completed=j.completed, failed=j.failed) for j in report.jobs]
        backups = [
            ImportedBackupOut(backup_id=b.id, owner=b.owner, conversations=b.conversations, expires_at=b.expires_at)
            for b in report.backups
        ]
        of_jobs, of_backups = report.job_totals, report.backup_totals
        return cls(
            source=report.source,
            is_check=report.is_check,
            migration=migration,
            jobs=ImportedJobsOut(
                imported=jobs, there=of_jobs.already_imported, finished=of_jobs.ended, left=_skipped(of_jobs)
            ),
            backups=ImportedBackupsOut(
                imported=backups, there=of_backups.already_imported, expired=of_backups.ended, left=_skipped(of_backups)
            ),
        )


def _skipped(report: ImportTotals) -> list[SkippedEntryOut]:
    return [SkippedEntryOut.from_entry(entry) for entry in report.not_imported]
