"""What is derived from a conversation to select and sort it: turns, characters, model, tools."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from backstay.library.record import TURNS, metadata_as_dict

_MODEL_NAMES = ("writer", "model")
"""The entries of the metadata that name the model: that of a batch, and that of many imported files."""


@dataclass(frozen=True, slots=True)
class ConversationTraits:
    """The derived values of a conversation."""

    turns: int
    characters: int
    """The length of the turns' texts together."""
    model: str | None
    has_tools: bool
    """Whether it has definitions of tools, or a turn that calls one."""

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "ConversationTraits":
        """Return the traits of a conversation in the native shape."""
        turns = document[TURNS]
        return cls(
            turns=len(turns),
            characters=sum(count_characters(turn["content"]) for turn in turns),
            model=model_of(document["metadata"]),
            has_tools=has_tools(document["metadata"]) or any(has_tool_calls(turn["metadata"]) for turn in turns),
        )


def count_characters(text: Any) -> int:
    """Return the length of a text; 0 for any other value."""
    return len(text) if isinstance(text, str) else 0


def model_of(metadata: Any) -> str | None:
    """Return the model that metadata names, parsed or as stored; None if they name none."""
    entries = _entries(metadata)
    return next((name for key in _MODEL_NAMES if isinstance(name := entries.get(key), str) and name), None)


def has_tools(metadata: Any) -> bool:
    """Return whether the metadata of a conversation, parsed or as stored, have definitions of tools."""
    return _is_filled_list(_entries(metadata).get("tools"))


def has_tool_calls(metadata: Any) -> bool:
    """Return whether the metadata of a turn, parsed or as stored, have calls of tools."""
    return _is_filled_list(_entries(metadata).get("tool_calls"))


def _entries(metadata: Any) -> Mapping[str, Any]:
    if isinstance(metadata, dict):
        return metadata
    return metadata_as_dict(metadata) if isinstance(metadata, str) else {}


def _is_filled_list(value: Any) -> bool:
    return isinstance(value, list) and bool(value)
