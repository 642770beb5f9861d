"""The options of an export that change what a format writes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from backstay.library.conversation import Conversation
    from backstay.library.turn import Turn

_SYSTEM_ROLES = frozenset(("system", "developer"))


class ReasoningMode(StrEnum):
    """The treatment of reasoning in an export."""

    KEEP = "keep"
    """Write it where the format has a place for it."""
    INLINE = "inline"
    """Write it before the text, in `<think>` tags."""
    DROP = "drop"
    """Leave it out."""


class SystemMode(StrEnum):
    """The treatment of system and developer messages in an export."""

    KEEP = "keep"
    DROP = "drop"
    """Leave them out."""


@dataclass(frozen=True, slots=True)
class FormatOptions:
    """The options of an export that change what a format writes."""

    reasoning: ReasoningMode = ReasoningMode.KEEP
    system: SystemMode = SystemMode.KEEP
    metadata: bool = False
    """Whether id, topic, persona, metadata and so on are written too, where the format is JSON."""
    excel: bool = False
    """Whether CSV begins with a byte order mark, by which Excel recognizes UTF-8."""
    turn_fields: bool = True
    """Whether any conversation has tools or turns with metadata or other fields. Without, Parquet has fewer columns."""

    def apply(self, conversation: "Conversation") -> "Conversation":
        """Return the conversation with its reasoning and system messages as the options say."""
        turns = conversation.turns
        if self.system is SystemMode.DROP:
            turns = [turn for turn in turns if turn.role not in _SYSTEM_ROLES]
        if self.reasoning is not ReasoningMode.KEEP and any(turn.reasoning for turn in turns):
            turns = [self._without_reasoning(turn) if turn.reasoning else turn for turn in turns]
        return conversation if turns is conversation.turns else replace(conversation, turns=turns)

    def _without_reasoning(self, turn: "Turn") -> "Turn":
        parts = [part for part in turn.current_parts or () if isinstance(part, str) or part["type"] != "thinking"]
        thought = ""
        if self.reasoning is ReasoningMode.INLINE:
            # The templates of Qwen and DeepSeek write it in this form.
            thought = f"<think>\n{turn.reasoning}\n</think>\n\n"
        return replace(turn, content=thought + turn.content, reasoning=None, parts=_with_text(thought, parts) or None)


def _with_text(text: str, parts: Sequence[Any]) -> Sequence[Any]:
    return [{"type": "text", "text": text}, *parts] if text and parts else parts
