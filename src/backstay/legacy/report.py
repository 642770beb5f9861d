"""The report of an import from the original library."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class ImportedJob:
    """A job that was imported."""

    id: str
    owner: str
    completed: int
    failed: int


@dataclass(frozen=True, slots=True)
class ImportedBackup:
    """A backup that was imported."""

    id: str
    owner: str
    conversations: int
    expires_at: datetime | None
    """None if it is pinned, because it never expires in the original library."""


@dataclass(frozen=True, slots=True)
class SkippedEntry:
    """A checkpoint, backup or table that was not imported, with the reason."""

    id: str
    reason: str


@dataclass(slots=True)
class ImportTotals:
    """The totals of all checkpoints or all backups."""

    already_imported: int = 0
    """Number of those that exist here already: from an earlier import, or as a job of the same name."""
    ended: int = 0
    """Number of finished checkpoints or expired backups, which need no import."""
    skipped: list[SkippedEntry] = field(default_factory=list)


@dataclass(slots=True)
class LegacyReport:
    """The report of what was imported and what was not; with `is_check`, of what would be."""

    source: str
    is_check: bool
    jobs: list[ImportedJob] = field(default_factory=list)
    backups: list[ImportedBackup] = field(default_factory=list)
    job_totals: ImportTotals = field(default_factory=ImportTotals)
    backup_totals: ImportTotals = field(default_factory=ImportTotals)

    @property
    def skipped(self) -> Sequence[SkippedEntry]:
        """All entries that could not be imported."""
        return [*self.job_totals.skipped, *self.backup_totals.skipped]
