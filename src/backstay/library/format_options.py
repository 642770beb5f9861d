"""The options of an export that change what a format writes."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from backstay.library.conversation import Conversation
    from backstay.library.turn import Turn

_SYSTEM_ROLES = frozenset(("system", "developer"))
_THINKING = frozenset(("thinking",))
_REASONING_PARTS = frozenset(("thinking", "redacted_thinking", "reasoning"))
"""The types of parts that are reasoning."""


class ReasoningMode(StrEnum):
    """The treatment of reasoning in an export."""

    KEEP = "keep"
    """Write it where the format has a field for it."""
    INLINE = "inline"
    """Write it before the text, in `<think>` tags."""
    DROP = "drop"
    """Leave it out."""


class SystemMode(StrEnum):
    """The treatment of system and developer messages in an export."""

    KEEP = "keep"
    DROP = "drop"
    """Leave them out."""


class PairSource(StrEnum):
    """What preference pairs are made of in an export."""

    IMPORTS = "imports"
    """Two conversations that an import has linked."""
    EDITS = "edits"
    """An edited conversation: as it was first stored, and as it is now."""


@dataclass(frozen=True, slots=True)
class FormatOptions:
    """The options of an export that change what a format writes."""

    reasoning: ReasoningMode = ReasoningMode.KEEP
    system: SystemMode = SystemMode.KEEP
    metadata: bool = False
    """Whether JSON formats also write id, topic, persona, metadata and so on."""
    parsed_arguments: bool = False
    """Whether formats with OpenAI's messages write the arguments of tool calls as objects, which most chat templates
    expect. Others, such as those that are not a JSON object, stay text."""
    with_fields: tuple[str, ...] = ()
    """The fields that are added to each row, as in `library.provenance.ADDABLE_FIELDS`."""
    excel: bool = False
    """Whether CSV begins with a byte order mark, by which Excel recognizes UTF-8."""
    correction_pairs: bool = False
    """Whether preference pairs are made of edited conversations, instead of those that an import has linked."""
    turn_fields: bool = True
    """Whether any conversation has tools, or turns with metadata or other fields. If not, Parquet has fewer columns."""

    def apply(self, conversation: "Conversation") -> "Conversation":
        """Return the conversation with the options for reasoning and system messages applied."""
        if self.reasoning is ReasoningMode.KEEP and self.system is SystemMode.KEEP:
            return conversation
        turns = [applied for turn in conversation.turns if (applied := self.apply_to_turn(turn)) is not None]
        return replace(conversation, turns=turns)

    def apply_to_turn(self, turn: "Turn") -> "Turn | None":
        """Return the turn with the options applied; None if it is left out."""
        if self.system is SystemMode.DROP and turn.role in _SYSTEM_ROLES:
            return None
        match self.reasoning:
            case ReasoningMode.KEEP:
                return turn
            case ReasoningMode.INLINE:
                return _with_inline_reasoning(turn)
            case ReasoningMode.DROP:
                return _without_reasoning(turn)


def _with_inline_reasoning(turn: "Turn") -> "Turn":
    """Return the turn with its reasoning before its text, as the chat templates of Qwen and DeepSeek write it."""
    if not turn.reasoning:
        return turn
    thought = f"<think>\n{turn.reasoning}\n</think>\n\n"
    parts = _without_types(turn.current_parts, _THINKING)
    if parts:
        parts.insert(0, {"type": "text", "text": thought})
    return replace(turn, content=thought + turn.content, reasoning=None, parts=parts or turn.outdated_parts)


def _without_reasoning(turn: "Turn") -> "Turn":
    """Return the turn without its reasoning, the parts that are reasoning, and the signature of it."""
    parts = _without_types(turn.parts, _REASONING_PARTS)
    metadata = {key: value for key, value in (turn.metadata or {}).items() if key != "reasoning_signature"}
    if not turn.reasoning and len(parts) == len(turn.parts or ()) and len(metadata) == len(turn.metadata or ()):
        return turn
    return replace(turn, reasoning=None, parts=parts or None, metadata=metadata or None)


def _without_types(parts: Sequence[Any] | None, types: Collection[str]) -> list[Any]:
    return [part for part in parts or () if isinstance(part, str) or part["type"] not in types]
