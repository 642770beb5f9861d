"""Deletes of conversations: plans, obstacles and results."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any, Protocol

from backstay.library.selection import Selection


@dataclass(frozen=True, slots=True)
class DeleteSample:
    """A conversation that a plan shows as an example."""

    id: str
    topic: str | None
    turns: int


@dataclass(frozen=True, slots=True)
class RelatedRowCount:
    """The related rows of one table that a delete would also delete, or change."""

    table: str
    rows: int
    is_deleted: bool
    """Whether they are deleted; else they stay, and refer to nothing or to a default."""

    @property
    def action(self) -> str:
        return "deleted" if self.is_deleted else "changed"


@dataclass(frozen=True, slots=True)
class FiringTrigger:
    """A user's trigger that a delete would fire. Backups do not include what it changes."""

    name: str
    table: str


class ObstacleKind(StrEnum):
    FORBIDS = "forbids"
    """The rows refer to what would be deleted, and their foreign key does not allow that."""
    CARRIES = "carries"
    """A conversation that is not selected, or turns of it, would be deleted too."""
    UNFIT = "unfit"
    """The rows would change and could not be restored, because no primary key identifies them."""
    DENIED = "denied"
    """The database would delete or change the rows, but our role may not restore them."""
    GENERATED = "generated"
    """The foreign key uses a generated column, so its rows could not be restored."""


@dataclass(frozen=True, slots=True)
class Obstacle:
    """What blocks a delete: rows, with their foreign key if that is the reason, or a foreign key whatever its rows."""

    table: str
    key: str
    rows: int
    kind: ObstacleKind
    remedy: str = ""
    """The SQL statement that grants the missing right."""
    column: str = ""
    """The generated column, after the name of its table."""


@dataclass(frozen=True, slots=True)
class DeletePlan:
    """The plan of a delete. Planning changes nothing."""

    selection: Selection
    conversations: int
    turns: int
    estimated_bytes: int
    """The approximate size of a backup's content: stored texts and the JSON around them. Excludes JSON escapes, user
    columns and related rows."""
    digest: str
    """A digest of the ids in order, each with its number of turns and of related rows."""
    sample: Sequence[DeleteSample]
    missing: Sequence[str]
    """The first selected ids that do not exist, if missing ids are ignored."""
    related: Sequence[RelatedRowCount] = ()
    """The related rows that would be deleted or changed."""
    triggers: Sequence[FiringTrigger] = ()


def plan_line(conversation_id: str, turns: int, related: int) -> bytes:
    """Return the bytes of one conversation that a plan's digest is computed from."""
    more = f"\0{related}" if related else ""
    return f"{conversation_id}\0{turns}{more}\n".encode()


@dataclass(frozen=True, slots=True)
class DeleteResult:
    """The counts of what a delete did."""

    backup_id: str | None
    """The backup that undoes the delete; None for a delete without a backup."""
    deleted: int
    changed: int
    """Conversations kept because they were changed after the backup read them, or because a trigger kept them."""
    gone: int
    """Conversations that had been deleted by another process."""
    changed_ids: Sequence[str] = ()
    """The first ids of the conversations that `changed` counts."""
    gone_ids: Sequence[str] = ()
    was_finished: bool = False
    """Whether the delete had already finished, so that resuming did nothing."""
    is_erased: bool = False
    """Whether no text is left in the database's file and its log. False with a backup, and on a server."""


class Deleter(Protocol):
    """The interface through which conversations are deleted."""

    async def plan(self, selection: Selection, *, ignore_missing: bool = False) -> DeletePlan:
        """Return what a delete would remove. Raises EmptySelection, ConversationNotFound, DeleteBlocked."""

    async def delete(
        self,
        plan: DeletePlan,
        *,
        backup: bool = True,
        reason: str | None = None,
        retention: timedelta | None = None,
        on_progress: Any = None,
    ) -> DeleteResult:
        """Back up the conversations of a plan, verify the backup, then delete them.

        Raises PlanOutdated (the selection matches other conversations now; nothing was deleted), BackupError (nothing
        was deleted), StorageError (`resume` continues the delete).
        """

    async def resume(self, backup_id: str, *, on_progress: Any = None) -> DeleteResult:
        """Resume an interrupted delete. Idempotent. Raises BackupNotFound, BackupUnusable."""
