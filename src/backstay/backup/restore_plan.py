"""The plan and the result of a restore."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

MAX_LISTED_CONFLICTS = 1_000
"""The maximum number of conflicts that a plan lists."""


class ConflictKind(StrEnum):
    CONTENT = "content"
    """A conversation with this id exists, and its content differs."""
    TIMES = "times"
    """A conversation with this id and the same content exists, but its times differ."""
    ITEM = "item"
    """The item that this conversation was the result of has another one now."""
    BUSY = "busy"
    """The item that this conversation was the result of is running."""


@dataclass(frozen=True, slots=True)
class ConflictingConversation:
    """A conversation of a backup that conflicts with the library's content."""

    id: str
    kind: ConflictKind
    other_id: str | None
    """The conversation in the library that it conflicts with."""


@dataclass(frozen=True, slots=True)
class RestorePlan:
    """The plan of a restore. Planning changes nothing."""

    backup_id: str
    new: int
    identical: int
    unlinked: int
    """New conversations that stay unlinked, because the item that they name now has another result."""
    conflicts: int
    """Conversations that conflict."""
    listed_conflicts: Sequence[ConflictingConversation]
    """The first `MAX_LISTED_CONFLICTS` conflicts."""


@dataclass(frozen=True, slots=True)
class RestoreResult:
    """The counts of what a restore did."""

    backup_id: str
    restored: int
    """Conversations restored, including those that replaced another."""
    identical: int
    skipped: int
    replaced: int
    relinked: int
    """Items that were linked to their restored results again."""
    unlinked: int
    """Restored conversations that stay unlinked, because the item that they name now has another result."""
    replaced_backup_id: str | None = None
    """The backup of the conversations that were replaced."""
    related: int = 0
    """Related rows of other tables that were restored, or that refer to their conversation again."""
    related_not_restored: int = 0
    """Related rows that were not restored, because a row they refer to is missing, or they now refer to another."""
