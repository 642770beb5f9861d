"""What bringing conversations back would do, and what it did."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

MAX_LISTED_CONFLICTS = 1_000


class OnConflict(StrEnum):
    """What to do with conversations that meet something else in the library."""

    FAIL = "fail"
    """Restore nothing at all."""
    SKIP = "skip"
    """Restore the others."""
    REPLACE = "replace"
    """Restore all; what is replaced goes into a backup of its own first."""


class ConflictKind(StrEnum):
    CONTENT = "content"
    """A conversation of this id is there, with other content."""
    TIMES = "times"
    """A conversation of this id is there, with the same content, made or changed at another time."""
    ITEM = "item"
    """The item whose result it was has another conversation now."""
    BUSY = "busy"
    """The item whose result it was is being worked on just now."""


@dataclass(frozen=True, slots=True)
class ConflictingConversation:
    """A conversation that cannot simply be brought back."""

    id: str
    kind: ConflictKind
    other_id: str | None
    """The conversation in its way."""


@dataclass(frozen=True, slots=True)
class RestorePlan:
    """What a restore would do. Making one changes nothing."""

    backup_id: str
    new: int
    identical: int
    unlinked: int
    """Of the new ones: the items they name have other results, which they keep."""
    conflicts: int
    clashes: Sequence[ConflictingConversation]
    """The first `MAX_LISTED_CONFLICTS` of them."""
    in_the_way: Sequence[str]
    """Ids of the conversations that would be replaced: all of them."""


@dataclass(frozen=True, slots=True)
class RestoreResult:
    """What a restore did."""

    backup_id: str
    restored: int
    """Brought back, those that replaced something included."""
    identical: int
    skipped: int
    replaced: int
    relinked: int
    """Items that have their results again."""
    unlinked: int
    """Of the restored ones: the items they name have other results, which they keep."""
    replaced_backup_id: str | None = None
    """Holds what was replaced."""
    related: int = 0
    """Rows of other tables that are back, or refer again to what they referred to."""
    left: int = 0
    """Rows of other tables that are not: what they refer to is missing, or they refer to something else by now."""
