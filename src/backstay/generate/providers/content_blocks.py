"""Message contents as texts and the model's reasoning; a content may be a list of blocks."""

from collections.abc import Mapping
from typing import Any

_THINKING_TYPES = frozenset(
    {"thinking", "reasoning", "redacted_thinking", "thought", "reasoning_text", "reasoning.text", "summary_text"}
)
_TEXT_FIELDS = ("thinking", "reasoning", "thought", "text", "content", "summary")


def split_content(content: Any) -> tuple[list[str], list[str]]:
    """Return the texts of a content, and separately the model's reasoning."""
    if isinstance(content, str):
        return [content], []
    texts: list[str] = []
    thoughts: list[str] = []
    for block in content if isinstance(content, list) else ():
        if isinstance(block, str):
            texts.append(block)
        elif isinstance(block, Mapping):
            if str(block.get("type")) in _THINKING_TYPES or block.get("thought") is True:
                thoughts += _read_thoughts(block)
            elif isinstance(block.get("text"), str):
                texts.append(block["text"])
    return texts, thoughts


def _read_thoughts(block: Mapping[str, Any]) -> list[str]:
    value = next((block[name] for name in _TEXT_FIELDS if block.get(name) and block[name] is not True), None)
    if isinstance(value, list):
        value = "".join(
            inner["text"] for inner in value if isinstance(inner, Mapping) and isinstance(inner.get("text"), str)
        )
    return [value] if isinstance(value, str) else []
