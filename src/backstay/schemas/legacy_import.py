"""The result of an import from the original library."""

from dataclasses import asdict
from typing import Self

from pydantic import Field

from backstay.legacy.report import LegacyReport
from backstay.schemas.base import ApiObject, Moment
from backstay.schemas.migrations import MigrationOut


class SkippedEntryOut(ApiObject):
    """An entry that was not imported, and why."""

    id: str
    reason: str


class ImportedJobOut(ApiObject):
    id: str
    owner: str
    completed: int
    failed: int


class ImportedBackupOut(ApiObject):
    """An imported backup. `expiresAt` is null if it is pinned, because the original library never lets it expire."""

    id: str
    owner: str
    conversations: int
    expires_at: Moment | None


class JobImportOut(ApiObject):
    """The checkpoints. `finished` counts those that needed no import."""

    imported: list[ImportedJobOut]
    already_imported: int
    finished: int = Field(validation_alias="ended")
    skipped: list[SkippedEntryOut]


class BackupImportOut(ApiObject):
    """The backups. `expired` counts those that needed no import."""

    imported: list[ImportedBackupOut]
    already_imported: int
    expired: int = Field(validation_alias="ended")
    skipped: list[SkippedEntryOut]


class LegacyImportOut(ApiObject):
    """The result of an import. With `isCheck` nothing was imported; it says what would be."""

    source: str
    is_check: bool
    migration: MigrationOut
    jobs: JobImportOut
    backups: BackupImportOut

    @classmethod
    def from_report(cls, report: LegacyReport, migration: MigrationOut) -> Self:
        return cls(
            source=report.source,
            is_check=report.is_check,
            migration=migration,
            jobs=JobImportOut.model_validate({"imported": report.jobs, **asdict(report.job_totals)}),
            backups=BackupImportOut.model_validate({"imported": report.backups, **asdict(report.backup_totals)}),
        )
