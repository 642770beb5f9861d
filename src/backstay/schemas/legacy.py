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
    """An imported backup. `expires_at` is null if it is pinned, because the original library never lets it expire."""

    backup_id: str = Field(validation_alias="id")
    owner: str
    conversations: int
    expires_at: Moment | None


class ImportedJobsOut(ApiObject):
    """Checkpoints: those imported; how many were imported before, or were finished; and those skipped, as `left`."""

    imported: list[ImportedJobOut]
    there: int = Field(validation_alias="already_imported")
    finished: int = Field(validation_alias="ended")
    left: list[SkippedEntryOut] = Field(validation_alias="not_imported")


class ImportedBackupsOut(ApiObject):
    """Backups: those imported; how many were imported before, or have expired; and those skipped, as `left`."""

    imported: list[ImportedBackupOut]
    there: int = Field(validation_alias="already_imported")
    expired: int = Field(validation_alias="ended")
    left: list[SkippedEntryOut] = Field(validation_alias="not_imported")


class LegacyImportOut(ApiObject):
    """The result of an import. With `is_check` nothing was imported; it says what would be."""

    source: str
    is_check: bool
    migration: MigrationOut
    jobs: ImportedJobsOut
    backups: ImportedBackupsOut

    @classmethod
    def from_report(cls, report: LegacyReport, migration: MigrationOut) -> Self:
        return cls(
            source=report.source,
            is_check=report.is_check,
            migration=migration,
            jobs=ImportedJobsOut.model_validate({"imported": report.jobs, **asdict(report.job_totals)}),
            backups=ImportedBackupsOut.model_validate({"imported": report.backups, **asdict(report.backup_totals)}),
        )
