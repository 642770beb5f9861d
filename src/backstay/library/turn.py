"""Turns and the tool calls in them.

A turn is stored as role, content, id and metadata. Its other fields are entries of the stored metadata, under their own
names, because tables of a user, and views of adopted ones, have no columns for them. `Turn` moves them from the
metadata it is given to its fields, if they have the right type: `Turn("user", "Hi", metadata={"name": "Ann"}).name` is
`"Ann"`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, Self

_FUNCTION, _CUSTOM = "function", "custom"
_TEXT_PARTS = frozenset(("text", "input_text", "output_text"))


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call of a tool by the model. `arguments` is the text that the model wrote, usually JSON.

    A call of OpenAI's custom tools, whose input is any text, has the `type` `custom` in `extra`.
    """

    id: str | None
    name: str
    arguments: str
    _: KW_ONLY
    extra: Mapping[str, Any] | None = None
    """Any other keys that the provider set, such as `index`."""

    def to_dict(self) -> dict[str, Any]:
        """Return the call as in OpenAI's API: `{"id", "type": "function", "function": {"name", "arguments"}}`.

        Without an id the key is absent. A custom call has `"custom": {"name", "input"}` instead.
        """
        call_id = {} if self.id is None else {"id": self.id}
        extra = self.extra or {}
        if extra.get("type") == _CUSTOM:
            return {**call_id, "type": _CUSTOM, _CUSTOM: {"name": self.name, "input": self.arguments}, **extra}
        function = {"name": self.name, "arguments": self.arguments}
        return {**call_id, "type": _FUNCTION, _FUNCTION: function, **extra}

    @classmethod
    def from_dict(cls, value: Any) -> Self | None:
        """Return the call of a dict that `to_dict` made; None for any other value."""
        match value:
            case {"type": "function", "function": {"name": str(name), "arguments": str(arguments), **more}}:
                own_keys = {"id", "type", _FUNCTION}
            case {"type": "custom", "custom": {"name": str(name), "input": str(arguments), **more}}:
                own_keys = {"id", _CUSTOM}
            case _:
                return None
        call_id = value.get("id")
        if more or not (isinstance(call_id, str) or "id" not in value):
            return None
        extra = {key: entry for key, entry in value.items() if key not in own_keys}
        return cls(call_id, name, arguments, extra=extra or None)


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of a conversation. `role` is usually `system`, `user`, `assistant` or `tool`.

    `content` may be empty only if the turn has tool calls, parts or reasoning, or is the result of a tool.
    """

    role: str
    content: str
    _: KW_ONLY
    name: str | None = None
    """The name of the speaker, or of the tool whose result this is."""
    tool_calls: Sequence[ToolCall] = ()
    tool_call_id: str | None = None
    """The id of the call whose result this is."""
    reasoning: str | None = None
    """What the model wrote before its answer, as its reasoning."""
    parts: Sequence[Any] | None = None
    """The content as a list of parts, exactly as received; `content` is then their text."""
    id: str | None = None
    metadata: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        if not self.metadata or not isinstance(self.metadata, Mapping):  # another type is refused when it is stored
            return
        rest = dict(self.metadata)
        for name, from_metadata in _FROM_METADATA.items():
            if name in rest and not getattr(self, name) and (value := from_metadata(rest[name])) is not None:
                object.__setattr__(self, name, value)
                del rest[name]
        if len(rest) < len(self.metadata):
            object.__setattr__(self, "metadata", rest or None)

    @property
    def is_plain(self) -> bool:
        """Whether the turn has no fields but role, content, id and metadata."""
        return not (self.tool_calls or self.reasoning or self.parts or self.tool_call_id or self.name)

    @property
    def may_be_empty(self) -> bool:
        """Whether the content may be empty."""
        return bool(self.tool_calls or self.parts or self.reasoning or self.tool_call_id or self.role == "tool")

    @property
    def current_parts(self) -> Sequence[Any] | None:
        """The parts, if `content` is still their text; None if it was edited since."""
        return self.parts if self.parts and text_of_parts(self.parts) == self.content else None

    @property
    def outdated_parts(self) -> Sequence[Any] | None:
        """The parts, if `content` was edited since; None if it is their text. Exports write them as metadata only."""
        return None if not self.parts or self.current_parts else self.parts

    def stored_metadata(self) -> dict[str, Any]:
        """Return the metadata to store, which includes the other fields that are set."""
        metadata = dict(self.metadata or {})
        if self.is_plain:
            return metadata
        fields = {
            "name": self.name,
            "tool_calls": [call.to_dict() for call in self.tool_calls],
            "tool_call_id": self.tool_call_id,
            "reasoning": self.reasoning,
            "parts": self.parts and list(self.parts),
        }
        return {**metadata, **{name: value for name, value in fields.items() if value}}


def part_type(part: Any) -> str:
    """Return the type of a part; a plain string has the type `text`, and what is no part `unknown`."""
    if isinstance(part, str):
        return "text"
    name = part.get("type") if isinstance(part, Mapping) else None
    return name if isinstance(name, str) else "unknown"


def text_of_parts(parts: Sequence[Any]) -> str:
    """Return the texts among the parts, concatenated. Other parts, such as images, have no text.

    The text of a refusal and the transcript of audio count as texts.
    """
    return "".join(map(_text_of_part, parts))


def _text_of_part(part: Any) -> str:
    match part:
        case str():
            return part
        case {"type": str(kind), "text": str(text)} if kind in _TEXT_PARTS:
            return text
        case {"type": "refusal", "refusal": str(text)} | {"type": "audio", "audio": {"transcript": str(text)}}:
            return text
    return ""


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _tool_calls(value: Any) -> Sequence[ToolCall] | None:
    calls = [ToolCall.from_dict(entry) for entry in value] if isinstance(value, list) else []
    return tuple(call for call in calls if call is not None) if calls and None not in calls else None


def _parts(value: Any) -> Sequence[Any] | None:
    is_list_of_parts = isinstance(value, list) and all(
        isinstance(part, str) or (isinstance(part, dict) and isinstance(part.get("type"), str)) for part in value
    )
    return value if value and is_list_of_parts else None


_FROM_METADATA: Mapping[str, Callable[[Any], Any]] = {
    "name": _text,
    "tool_calls": _tool_calls,
    "tool_call_id": _text,
    "reasoning": _text,
    "parts": _parts,
}
"""The fields stored as metadata, each with a function that returns the field's value, or None for a wrong type."""

STORED_FIELDS = frozenset(_FROM_METADATA)


class _BareTurn:
    """A turn that is not frozen yet, because setting a field of a frozen object takes a function call."""

    __slots__ = Turn.__slots__

    def __init__(self, role: str, content: str, turn_id: str | None) -> None:
        self.role, self.content, self.id = role, content, turn_id
        self.name = self.tool_call_id = self.reasoning = self.parts = self.metadata = None
        self.tool_calls = ()
        self.__class__ = Turn  # type: ignore[assignment]  # allowed, since both have the same slots


def bare_turn(role: str, content: str, turn_id: str | None) -> Turn:
    """Return a turn without metadata and other fields in a quarter of the time that `Turn` takes: exports make many."""
    return _BareTurn(role, content, turn_id)  # type: ignore[return-value]
