"""Taking conversations out of the library: what would go, and what went."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol

from holdfast.library.selection import Selection


@dataclass(frozen=True, slots=True)
class Sample:
    """One of the conversations that a plan shows."""

    id: str
    topic: str | None
    turns: int


@dataclass(frozen=True, slots=True)
class DeletePlan:
    """What a delete would remove. Making one changes nothing."""

    selection: Selection
    conversations: int
    turns: int
    digest: str
    """Over the ids in their order and the number of turns of each: other conversations have another one."""
    sample: Sequence[Sample]
    missing: Sequence[str]
    """Ids that were asked for and are not there, when that was to be ignored; the first of them."""


@dataclass(frozen=True, slots=True)
class Deletion:
    """What a delete came to."""

    backup_id: str | None
    """What undoes it; None when it was said that no backup is wanted."""
    deleted: int
    changed: int
    """Kept, because they were changed after the backup had read them."""
    gone: int
    """Deleted by somebody else meanwhile."""
    changed_ids: Sequence[str] = ()
    """The first of them."""
    gone_ids: Sequence[str] = ()


class Remover(Protocol):
    """Removes conversations so that they can be brought back."""

    async def plan(self, selection: Selection, *, ignore_missing: bool = False) -> DeletePlan:
        """Say what a delete would remove. Raises EmptySelection, ConversationNotFound."""
        ...

    async def delete(
        self,
        plan: DeletePlan,
        *,
        backup: bool = True,
        reason: str | None = None,
        expires_in: timedelta | None = None,
        on_progress: Any = None,
    ) -> Deletion:
        """Remove what the plan shows, after a verified backup of it.

        Raises PlanOutdated (the selection holds other conversations now; nothing was deleted), BackupError (nothing
        was deleted), StorageError (`resume` goes on with it).
        """
        ...

    async def resume(self, backup_id: str, *, on_progress: Any = None) -> Deletion:
        """Go on with a delete that was cut off; twice is safe. Raises BackupNotFound, BackupUnusable."""
        ...
