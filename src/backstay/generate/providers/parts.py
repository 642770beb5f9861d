"""Message contents that are lists of blocks."""

from collections.abc import Mapping
from typing import Any

_THINKING = frozenset(
    {"thinking", "reasoning", "redacted_thinking", "thought", "reasoning_text", "reasoning.text", "summary_text"}
)
_FIELDS = ("thinking", "reasoning", "thought", "text", "content", "summary")


def texts_in(content: Any) -> tuple[list[str], list[str]]:
    """Return the texts of a content, and separately the model's reasoning."""
    if isinstance(content, str):
        return [content], []
    texts: list[str] = []
    thoughts: list[str] = []
    for block in content if isinstance(content, list) else ():
        if isinstance(block, str):
            texts.append(block)
        elif isinstance(block, Mapping):
            if str(block.get("type")) in _THINKING or block.get("thought") is True:
                thoughts += _thoughts(block)
            elif isinstance(block.get("text"), str):
                texts.append(block["text"])
    return texts, thoughts


def _thoughts(block: Mapping[str, Any]) -> list[str]:
    value = next((block[name] for name in _FIELDS if block.get(name) and block[name] is not True), None)
    if isinstance(value, list):
        value = "".join(
            inner["text"] for inner in value if isinstance(inner, Mapping) and isinstance(inner.get("text"), str)
        )
    return [value] if isinstance(value, str) else []
