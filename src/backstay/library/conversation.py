"""Conversations, and the check that they may be stored."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from backstay.clock import to_text
from backstay.errors import InvalidConversation, kind_of
from backstay.library.canonical_json import canonical_json, digest_of, is_encodable
from backstay.library.id_text import id_fault
from backstay.library.review import Review
from backstay.library.turn import STORED_FIELDS, ToolCall, Turn
from backstay.readers.json_depth import METADATA_OUTER_LEVELS, TOO_DEEP, is_too_deep

TOOLS = "tools"
_IDS = ("id", "job_id", "item_id")
_USUAL_ROLES = ("user", "assistant", "system")


@dataclass(frozen=True, slots=True)
class Conversation:
    """An ordered list of turns with an id, metadata and an origin.

    `tools` are the definitions of the tools that the model could call, as a provider's API takes them. They are stored
    in the metadata under `tools`, like a turn's fields (`library.turn`), and taken out of metadata that has them.

    A processor sets `turns` and any other field it knows. When the conversation is stored, the library fills in `id`,
    the times and, from the item, `topic`, `persona`, `job_id` and `item_id`. The `review` is stored apart: it is what
    `backstay.reviews` has set, it is no part of the conversation's digest, and two conversations that differ only in
    their reviews are equal.
    """

    turns: Sequence[Turn]
    id: str | None = None
    topic: str | None = None
    persona: str | None = None
    content: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    job_id: str | None = None
    item_id: str | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    tools: Sequence[Mapping[str, Any]] = ()
    review: Review | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if not self.metadata or not isinstance(self.metadata, Mapping):  # another type is refused when it is stored
            return
        if not self.tools and _are_tools(self.metadata.get(TOOLS)):
            rest = dict(self.metadata)
            object.__setattr__(self, TOOLS, rest.pop(TOOLS))
            object.__setattr__(self, "metadata", rest)

    def stored_metadata(self) -> dict[str, Any]:
        """Return the metadata as it is stored, which includes the tools."""
        tools = {TOOLS: list(self.tools)} if self.tools else {}
        return {**(self.metadata or {}), **tools}

    def to_dict(self) -> dict[str, Any]:
        """Return the native shape: a JSON-compatible dict with the turns in `conversation_turns`, numbered from 1."""
        return {
            "id": self.id,
            "topic": self.topic,
            "persona": self.persona,
            "content": self.content,
            "metadata": self.stored_metadata(),
            "job_id": self.job_id,
            "item_id": self.item_id,
            "created_at": to_text(self.created_at) if self.created_at else None,
            "updated_at": to_text(self.updated_at) if self.updated_at else None,
            "conversation_turns": [
                {
                    "id": turn.id,
                    "sequence": sequence,
                    "role": turn.role,
                    "content": turn.content,
                    "metadata": turn.stored_metadata(),
                }
                for sequence, turn in enumerate(self.turns, start=1)
            ],
        }

    def digest(self) -> str:
        """Return the SHA-256 of the canonical JSON of `to_dict()`."""
        return digest_of(self.to_dict())


def validate(conversation: Conversation) -> None:
    """Check that a conversation may be stored.

    Raises:
        InvalidConversation: it has no turns, a turn without role or text, text with NUL or a lone surrogate, an id that
            is not allowed, or metadata that JSON cannot represent. The message names the turn, never its text.
    """
    validate_stored(conversation)
    for name in _IDS:
        if (text := getattr(conversation, name)) is not None and (fault := id_fault(text)) is not None:
            raise InvalidConversation(f"the conversation's {name} {fault}")


def validate_stored(conversation: Conversation) -> None:
    """Check a conversation that was stored before: like `validate`, but ids need not have the form of new ones."""
    validate_turns(conversation.turns)
    for name in ("topic", "persona", "content", *_IDS):
        if (text := getattr(conversation, name)) is not None:
            check_text(text, name)
    if conversation.id == "":
        raise InvalidConversation("the conversation's id is empty; leave it out to have one generated")
    if not conversation.tools:
        if conversation.metadata:
            _check_json(conversation.metadata, "the metadata")
        return
    if not _are_tools(list(conversation.tools)):
        raise InvalidConversation("the tools of the conversation must be mappings")
    if TOOLS in conversation.metadata:
        raise InvalidConversation("the conversation has tools both as a field and in its metadata")
    _check_json(conversation.stored_metadata(), "the metadata with the tools")


def _are_tools(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(tool, Mapping) for tool in value)


def validate_turns(turns: Sequence[Turn]) -> None:
    """Check that turns may be stored. Raises InvalidConversation like `validate`."""
    if not isinstance(turns, Sequence):
        # This check would consume an iterator, and the conversation would be stored without turns.
        raise InvalidConversation(f"the turns are {kind_of(turns)}; make them a list")
    if not turns:
        raise InvalidConversation("the conversation has no turns")
    for number, turn in enumerate(turns, start=1):
        if not _is_plain(turn):
            check_turn(turn, number)


def _is_plain(turn: Turn) -> bool:
    """Return whether a turn is a usual, valid one. Most are, and this is much faster than the full check."""
    if type(turn) is not Turn or turn.id is not None or turn.metadata or turn.role not in _USUAL_ROLES:
        return False
    if not turn.is_plain:
        return False
    text = turn.content
    return type(text) is str and text.isascii() and "\x00" not in text and text != "" and not text.isspace()


def check_turn(turn: Turn, number: int) -> None:
    """Check that a turn may be stored. Raises InvalidConversation, which names the turn by its number."""
    if not isinstance(turn, Turn):
        raise InvalidConversation(f"turn {number} is {kind_of(turn)}; make it a backstay.Turn")
    if not isinstance(turn.role, str) or not isinstance(turn.content, str):
        raise InvalidConversation(f"role and content of turn {number} must be text")
    if not turn.role:
        raise InvalidConversation(f"turn {number} has no role")
    if (not turn.content or turn.content.isspace()) and not turn.may_be_empty:
        raise InvalidConversation(f"turn {number} is empty")
    check_text(turn.role, f"the role of turn {number}")
    check_text(turn.content, f"turn {number}")
    if turn.id is not None:
        check_text(turn.id, f"the id of turn {number}")
    if not turn.is_plain:
        _check_fields(turn, number)
    if turn.metadata:
        _check_json(turn.metadata, f"the metadata of turn {number}")


def _check_fields(turn: Turn, number: int) -> None:
    """Check the fields that are stored as metadata."""
    for name in ("name", "tool_call_id", "reasoning"):
        if not isinstance(getattr(turn, name), str | None):
            raise InvalidConversation(f"{name} of turn {number} must be text")
    if not isinstance(turn.tool_calls, list | tuple) or not isinstance(turn.parts, list | tuple | None):
        raise InvalidConversation(f"tool_calls and parts of turn {number} must be lists")
    for call in turn.tool_calls:
        if not isinstance(call, ToolCall) or ToolCall.from_dict(call.to_dict()) != call:
            raise InvalidConversation(
                f"a tool call of turn {number} must be a backstay.ToolCall with a name and arguments, both text"
            )
    for name in STORED_FIELDS.intersection(turn.metadata or ()):
        if getattr(turn, name):
            raise InvalidConversation(f"turn {number} has {name} both as a field and in its metadata")
    _check_json(turn.stored_metadata(), f"the metadata of turn {number} with its other fields")


def check_text(value: object, subject: str) -> None:
    """Check that a text may be stored. Raises InvalidConversation, which names the `subject`."""
    if not isinstance(value, str):
        raise InvalidConversation(f"{subject} must be text, not {type(value).__name__}")
    if (fault := text_fault(value)) is not None:
        raise InvalidConversation(f"{subject} {fault}")


def text_fault(text: str) -> str | None:
    """Return why a text cannot be stored, or None if it can."""
    if "\x00" in text:
        return "contains a NUL character"
    return None if text.isascii() or is_encodable(text) else "is not valid Unicode (half of a surrogate pair)"


def _check_json(value: Mapping[str, Any], subject: str) -> None:
    if not isinstance(value, Mapping):
        raise InvalidConversation(f"{subject} must be a mapping, not {type(value).__name__}")
    try:
        canonical_json(dict(value))
    except ValueError as error:
        raise InvalidConversation(f"{subject} cannot be stored as JSON: {error}") from error
    if is_too_deep(dict(value), outer_levels=METADATA_OUTER_LEVELS):
        raise InvalidConversation(f"{subject} cannot be stored as JSON: with the conversation it is {TOO_DEEP}")
