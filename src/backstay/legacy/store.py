"""What is asked of the database that the original keeps its tables in. Nothing there is ever written."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import NamedTuple, Protocol

CHECKPOINTS = "batch_checkpoints"
EXPORTS = "backup_exports"


@dataclass(frozen=True, slots=True)
class LegacyCheckpoint:
    """What the original keeps of a job; several rows of one job are taken together."""

    job_id: str | None
    progress: Sequence[str | None]
    """What each row says of how far it has come, as text."""


@dataclass(frozen=True, slots=True)
class LegacyExport:
    """What the original keeps of a backup, each value as text, whatever its column holds."""

    backup_id: str | None
    user_id: str | None = None
    file_path: str | None = None
    reason: str | None = None
    expires_at: str | None = None
    created_at: str | None = None


class LegacyElement(NamedTuple):
    """An element of an array of the original's: an id, or an object with one."""

    kind: str | None
    """What JSON has for an id, `string` or `number` where it is one; None where an object has none."""
    id: str | None
    """The id as text, or the beginning of a long one."""
    error: str | None


class LegacyTables(Protocol):
    """The original's tables in one schema. Every method blocks; one at a time."""

    @property
    def faults(self) -> Sequence[tuple[str, str]]:
        """Tables that are there and of no use, each with the reason; they count as empty."""
        ...

    def checkpoints(self) -> Sequence[LegacyCheckpoint]:
        """Return all jobs that have a checkpoint."""
        ...

    def items(self, job_id: str) -> Iterator[tuple[bool, Sequence[LegacyElement]]]:
        """Yield what the checkpoint of a job says of its items, many at a time: whether they failed, and which.

        Completed ones come first. Raises InputUnreadable: it holds something else than arrays.
        """
        ...

    def exports(self) -> Sequence[LegacyExport]:
        """Return all backups."""
        ...

    def conversation_ids(self, backup_id: str) -> Iterator[Sequence[LegacyElement]]:
        """Yield which conversations a backup is to hold, many at a time. Raises InputUnreadable likewise."""
        ...


class LegacyStore(Protocol):
    """A database in which the original may keep its tables."""

    def open(self, source: str) -> AbstractContextManager[LegacyTables]:
        """Open the tables in the schema `source`. Blocks.

        Raises:
            SettingsError: there is no such schema, it has none of the tables, or they are our own views.
            StorageError: they cannot be read.
        """
        ...
