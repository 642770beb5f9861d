"""Protocols for reading the original library's tables, which are never written."""

from collections.abc import Generator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import NamedTuple, Protocol

CHECKPOINTS = "batch_checkpoints"
EXPORTS = "backup_exports"


@dataclass(frozen=True, slots=True)
class LegacyCheckpoint:
    """The checkpoint of a job in the original library; several rows of one job are combined."""

    job_id: str | None
    progress: Sequence[str | None]
    """Progress in each row, as text."""


@dataclass(frozen=True, slots=True)
class LegacyExport:
    """The record of a backup in the original library, with each value as text, whatever the type of its column."""

    backup_id: str | None
    user_id: str | None = None
    file_path: str | None = None
    reason: str | None = None
    expires_at: str | None = None
    created_at: str | None = None


class LegacyElement(NamedTuple):
    """An element of an array in the original library's tables: an id, or an object with one."""

    kind: str | None
    """JSON type of the id: `string` or `number` if it is valid; None if an object has no id."""
    id: str | None
    """The id as text, or the beginning of a long one."""
    error: str | None


class LegacyTables(Protocol):
    """The original library's tables in one schema. Every method blocks; call one at a time."""

    @property
    def faults(self) -> Sequence[tuple[str, str]]:
        """Unusable tables, each with the reason; they count as empty."""
        ...

    def checkpoints(self) -> Sequence[LegacyCheckpoint]:
        """Return all jobs that have a checkpoint."""
        ...

    def items(self, job_id: str) -> Generator[tuple[bool, Sequence[LegacyElement]]]:
        """Yield the settled items of a checkpoint in chunks: whether they failed, and the items.

        Completed ones come first. Close the generator before the next reading: it holds a transaction. Raises
        InputUnreadable: the checkpoint holds something else than arrays.
        """
        ...

    def exports(self) -> Sequence[LegacyExport]:
        """Return all backups."""
        ...

    def conversation_ids(self, backup_id: str) -> Generator[Sequence[LegacyElement]]:
        """Yield the recorded conversation ids of a backup in chunks, like `items`. Raises InputUnreadable."""
        ...


class LegacyStore(Protocol):
    """A database that may contain the original library's tables."""

    def open(self, source: str) -> AbstractContextManager[LegacyTables]:
        """Open the tables in the schema `source`. Blocks.

        Raises:
            SettingsError: the schema does not exist, has none of the tables, or they are Backstay's own views.
            StorageError: they cannot be read.
        """
        ...
