"""Taking conversations out of the library: what would go, and what went."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any, Protocol

from backstay.library.selection import Selection


@dataclass(frozen=True, slots=True)
class DeleteSample:
    """One of the conversations that a plan shows."""

    id: str
    topic: str | None
    turns: int


@dataclass(frozen=True, slots=True)
class RelatedRowCount:
    """Rows of another table that would go with what is deleted, or stay and refer to something else then."""

    table: str
    rows: int
    goes: bool


@dataclass(frozen=True, slots=True)
class FiringTrigger:
    """A trigger of a user's own that would fire. What it does is its own matter: no backup knows of it."""

    name: str
    table: str


class ObstacleKind(StrEnum):
    FORBIDS = "forbids"
    """The rows refer to what is to go, and their key lets nothing go that they refer to."""
    CARRIES = "carries"
    """A conversation, or a part of it, would go along although nobody asked for it."""
    UNFIT = "unfit"
    """The rows would change, and nothing tells them from others, so that they could not be changed back."""
    DENIED = "denied"
    """The rows would go, or change, by the right of the table's owner, and we lack the right to bring them back."""


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Rows, by the foreign key they have where that is what matters, for which a delete cannot be."""

    table: str
    key: str
    rows: int
    kind: ObstacleKind
    remedy: str = ""
    """The statement that grants what is denied."""


@dataclass(frozen=True, slots=True)
class DeletePlan:
    """What a delete would remove. Making one changes nothing."""

    selection: Selection
    conversations: int
    turns: int
    estimated_bytes: int
    """About the content of a backup of them: the texts as they are stored and what stands around them. What JSON has to
    escape, columns that Backstay does not know and rows of other tables come on top."""
    digest: str
    """Over the ids in their order, and the number of turns and of related rows of each: other ones have another."""
    sample: Sequence[DeleteSample]
    missing: Sequence[str]
    """Ids that were asked for and are not there, when that was to be ignored; the first of them."""
    related: Sequence[RelatedRowCount] = ()
    """What of other tables would go along, or change."""
    triggers: Sequence[FiringTrigger] = ()


def plan_line(conversation_id: str, turns: int, related: int) -> bytes:
    """Return what stands for one conversation in the digest of a plan."""
    more = f"\0{related}" if related else ""
    return f"{conversation_id}\0{turns}{more}\n".encode()


@dataclass(frozen=True, slots=True)
class DeleteResult:
    """What a delete came to."""

    backup_id: str | None
    """What undoes it; None when it was said that no backup is wanted."""
    deleted: int
    changed: int
    """Kept, because they were changed after the backup had read them, or because a trigger kept them."""
    gone: int
    """Deleted by somebody else meanwhile."""
    changed_ids: Sequence[str] = ()
    """The first of them."""
    gone_ids: Sequence[str] = ()
    was_finished: bool = False
    """It had come to its end before, so that nothing was done now."""
    is_erased: bool = False
    """Whether nothing of the texts is left in the database's file and its log. False with a backup, and on a server."""


class Deleter(Protocol):
    """Removes conversations so that they can be brought back."""

    async def plan(self, selection: Selection, *, ignore_missing: bool = False) -> DeletePlan:
        """Say what a delete would remove. Raises EmptySelection, ConversationNotFound, DeleteBlocked."""
        ...

    async def delete(
        self,
        plan: DeletePlan,
        *,
        backup: bool = True,
        reason: str | None = None,
        expires_in: timedelta | None = None,
        on_progress: Any = None,
    ) -> DeleteResult:
        """Remove what the plan shows, after a verified backup of it.

        Raises PlanOutdated (the selection holds other conversations now; nothing was deleted), BackupError (nothing
        was deleted), StorageError (`resume` goes on with it).
        """
        ...

    async def resume(self, backup_id: str, *, on_progress: Any = None) -> DeleteResult:
        """Go on with a delete that was cut off; twice is safe. Raises BackupNotFound, BackupUnusable."""
        ...
