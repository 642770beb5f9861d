"""What taking over from the original came to."""

from typing import Self

from backstay.legacy.report import LegacyReport, PartReport, SkippedEntry
from backstay.schemas.base import ApiObject, Moment
from backstay.schemas.migrations import MigrationOut


class SkippedEntryOut(ApiObject):
    """Something that was not taken over, and why."""

    id: str
    reason: str

    @classmethod
    def from_entry(cls, left: SkippedEntry) -> Self:
        return cls(id=left.id, reason=left.reason)


class ImportedJobOut(ApiObject):
    id: str
    owner: str
    completed: int
    failed: int


class ImportedBackupOut(ApiObject):
    """`expires_at` is null where it is pinned, because the original never lets it expire."""

    backup_id: str
    owner: str
    conversations: int
    expires_at: Moment | None


class ImportedJobsOut(ApiObject):
    """Checkpoints: those that became jobs, how many were here already or say that nothing is left, and the rest."""

    taken_over: list[ImportedJobOut]
    there: int
    finished: int
    left: list[SkippedEntryOut]


class ImportedBackupsOut(ApiObject):
    """Backups: those that became ours, how many were here already or have expired, and the rest."""

    taken_over: list[ImportedBackupOut]
    there: int
    expired: int
    left: list[SkippedEntryOut]


class LegacyImportOut(ApiObject):
    """With `is_check` nothing was done, and this is what would be."""

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
        of_jobs, of_backups = report.of_jobs, report.of_backups
        return cls(
            source=report.source,
            is_check=report.is_check,
            migration=migration,
            jobs=ImportedJobsOut(taken_over=jobs, there=of_jobs.there, finished=of_jobs.over, left=_left(of_jobs)),
            backups=ImportedBackupsOut(
                taken_over=backups, there=of_backups.there, expired=of_backups.over, left=_left(of_backups)
            ),
        )


def _left(part: PartReport) -> list[SkippedEntryOut]:
    return [SkippedEntryOut.from_entry(left) for left in part.left]
