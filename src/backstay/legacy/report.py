"""What came of taking over."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class ImportedJob:
    """A job that goes on here."""

    id: str
    owner: str
    completed: int
    failed: int


@dataclass(frozen=True, slots=True)
class ImportedBackup:
    """A backup that is one of ours now."""

    id: str
    owner: str
    conversations: int
    expires_at: datetime | None
    """None where it is pinned, because the original never lets it expire."""


@dataclass(frozen=True, slots=True)
class SkippedEntry:
    """Something that was not taken over, and why."""

    id: str
    reason: str


@dataclass(slots=True)
class PartReport:
    """What became of all checkpoints, or of all backups."""

    there: int = 0
    """Were here already, and were left alone."""
    over: int = 0
    """Finished checkpoints, expired backups: nothing is to be done for them."""
    left: list[SkippedEntry] = field(default_factory=list)


@dataclass(slots=True)
class LegacyReport:
    """What was taken over, and what was not; with `is_check`, what would be."""

    source: str
    is_check: bool
    jobs: list[ImportedJob] = field(default_factory=list)
    backups: list[ImportedBackup] = field(default_factory=list)
    of_jobs: PartReport = field(default_factory=PartReport)
    of_backups: PartReport = field(default_factory=PartReport)

    @property
    def left(self) -> Sequence[SkippedEntry]:
        """Everything that was not taken over although it is neither here nor over."""
        return [*self.of_jobs.left, *self.of_backups.left]
