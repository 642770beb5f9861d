"""The storage interface of conversations."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from backstay.coordination.expiring_value import ExpiringValue
from backstay.library.choices import ImportConflictPolicy
from backstay.library.conversation import Conversation
from backstay.library.imports.imported_conversation import ImportResult
from backstay.library.imports.source import ImportSource
from backstay.library.selection import Selection


@dataclass(frozen=True, slots=True)
class ConversationPage:
    """Whole conversations in storage order, and the cursor of the next page (None at the end)."""

    conversations: Sequence[Conversation]
    next_cursor: int | None
    size: int
    """About how many bytes the conversations have."""


class ConversationStore(Protocol):
    """The stored conversations. Each method sees only the given owner's; reads may be repeated."""

    async def conversation(self, owner: str, conversation_id: str) -> Conversation:
        """Return one conversation with its turns. Raises ConversationNotFound."""

    async def page(self, owner: str, selection: Selection, *, after: int, limit: int) -> ConversationPage:
        """Return up to `limit` whole conversations, oldest first, of those stored after the cursor `after`.

        A page ends with the conversation that brings it to `MAX_BATCH_BYTES`.
        """

    async def count(self, owner: str, selection: Selection) -> int:
        """Return how many conversations the selection holds."""

    async def may_have_turn_fields(self, owner: str, selection: Selection) -> bool:
        """Return whether any selected conversation may have tools, or turns with more than a role and content."""

    async def missing(self, owner: str, ids: Sequence[str], *, limit: int) -> Sequence[str]:
        """Return up to `limit` of these ids that do not exist for this owner."""

    async def import_conversations(
        self,
        owner: str,
        source: ImportSource,
        on_conflict: ImportConflictPolicy,
        on_progress: Callable[[int], None],
        receipt: Callable[[ImportResult], ExpiringValue | None] | None = None,
        *,
        strict: bool = False,
    ) -> ImportResult:
        """Store the conversations of a file and the receipt in one transaction.

        `on_progress` may be called from any thread. Raises InputError, BackupError, ConversationExists, and if
        `strict`, RefusedByTrainers; nothing is stored then.
        """
