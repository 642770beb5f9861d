"""The report of an import from the original."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class ImportedJob:
    """Job that was imported."""

    id: str
    owner: str
    completed: int
    failed: int


@dataclass(frozen=True, slots=True)
class ImportedBackup:
    """Backup that was imported."""

    id: str
    owner: str
    conversations: int
    expires_at: datetime | None
    """None if it is pinned, because it never expires in the original."""


@dataclass(frozen=True, slots=True)
class SkippedEntry:
    """Entry that was not imported, with the reason."""

    id: str
    reason: str


@dataclass(slots=True)
class PartReport:
    """Totals of all checkpoints or all backups."""

    there: int = 0
    """Imported before, and skipped."""
    over: int = 0
    """Finished checkpoints or expired backups, which need no import."""
    left: list[SkippedEntry] = field(default_factory=list)


@dataclass(slots=True)
class LegacyReport:
    """Report of what was imported and what was not; with `is_check`, of what would be."""

    source: str
    is_check: bool
    jobs: list[ImportedJob] = field(default_factory=list)
    backups: list[ImportedBackup] = field(default_factory=list)
    of_jobs: PartReport = field(default_factory=PartReport)
    of_backups: PartReport = field(default_factory=PartReport)

    @property
    def left(self) -> Sequence[SkippedEntry]:
        """All entries that could not be imported."""
        return [*self.of_jobs.left, *self.of_backups.left]
