"""Counts of what an export loses, leaves out and refuses."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from backstay.errors import ConversationUnwritable, LossyExport
from backstay.library.conversation import Conversation
from backstay.library.formats import Loss, PreparedConversation
from backstay.library.id_text import quoted_id
from backstay.remedy import Remedy


@dataclass(frozen=True, slots=True)
class LossCount:
    """How often an export loses something, and in how many conversations."""

    loss: Loss
    count: int
    conversations: int

    def __str__(self) -> str:
        noun = "conversation" if self.conversations == 1 else "conversations"
        if self.count == self.conversations:
            return f"{self.loss} ({self.conversations:,} {noun})"
        return f"{self.loss} ({self.count:,} in {self.conversations:,} {noun})"


class ExportFindings:
    """What an export would lose, leave out or refuse of the conversations added so far."""

    def __init__(self, format_name: str) -> None:
        self.selected = 0
        self.exported = 0
        self.left_out: Counter[str] = Counter()
        self.notes: list[str] = []
        self._format = format_name
        self._losses: Counter[Loss] = Counter()
        self._conversations: Counter[Loss] = Counter()
        self._refused = 0
        self._first_refusal: tuple[str, str] | None = None

    def add(self, conversation: Conversation, prepared: PreparedConversation) -> None:
        """Count what is written of a conversation, and what is not."""
        self.selected += 1
        self.exported += prepared.conversation is not None
        if prepared.losses:
            self._losses.update(prepared.losses)
            self._conversations.update(prepared.losses.keys())
        if prepared.refusal is not None:
            self._refused += 1
            self._first_refusal = self._first_refusal or (str(conversation.id), prepared.refusal)

    def add_final(self, losses: Sequence[tuple[str, Loss]]) -> None:
        """Count the conversations that are left out after all; see `Format.final_losses`."""
        counts = Counter(loss for _, loss in losses)
        self._losses.update(counts)
        self._conversations.update(counts)
        self.exported -= len(losses)

    @property
    def losses(self) -> Sequence[LossCount]:
        """The losses, in the order of `Loss`."""
        return [LossCount(loss, self._losses[loss], self._conversations[loss]) for loss in Loss if self._losses[loss]]

    def check(self, *, lossy: bool) -> None:
        """Raise ConversationUnwritable if a conversation cannot be written, LossyExport for losses unless `lossy`."""
        if self._first_refusal is not None:
            raise self._refusal_error(*self._first_refusal)
        if self._losses and not lossy:
            raise LossyExport(
                f"{self._format} cannot hold: {', '.join(map(str, self.losses))}; nothing was written",
                format=self._format,
                losses=[_to_dict(count) for count in self.losses],
                remedy=Remedy.LEAVE_OUT if self._losses.keys() == {Loss.NO_CORRECTION} else Remedy.ALLOW_LOSSES,
            )

    def _refusal_error(self, conversation_id: str, reason: str) -> ConversationUnwritable:
        others = self._refused - 1
        more = f" (and {others:,} other{'s' if others > 1 else ''})" if others else ""
        return ConversationUnwritable(
            f"{self._format} cannot hold conversation {quoted_id(conversation_id)}{more}: {reason}; "
            "nothing was written",
            format=self._format,
            conversation_id=conversation_id,
            conversations=self._refused,
        )


def _to_dict(count: LossCount) -> Mapping[str, str | int]:
    return {"loss": str(count.loss), "count": count.count, "conversations": count.conversations}
