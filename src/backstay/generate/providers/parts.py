"""Contents of messages that come as a list of parts."""

from collections.abc import Mapping
from typing import Any

_THINKING = frozenset(
    {"thinking", "reasoning", "redacted_thinking", "thought", "reasoning_text", "reasoning.text", "summary_text"}
)
_FIELDS = ("thinking", "reasoning", "thought", "text", "content", "summary")


def texts_in(content: Any) -> tuple[list[str], list[str]]:
    """Return the texts of a content, and apart from them what the model thought."""
    if isinstance(content, str):
        return [content], []
    texts: list[str] = []
    thoughts: list[str] = []
    for part in content if isinstance(content, list) else ():
        if isinstance(part, str):
            texts.append(part)
        elif isinstance(part, Mapping):
            if str(part.get("type")) in _THINKING or part.get("thought") is True:
                thoughts += _thoughts(part)
            elif isinstance(part.get("text"), str):
                texts.append(part["text"])
    return texts, thoughts


def _thoughts(part: Mapping[str, Any]) -> list[str]:
    held = next((part[name] for name in _FIELDS if part.get(name) and part[name] is not True), None)
    if isinstance(held, list):
        held = "".join(
            inner["text"] for inner in held if isinstance(inner, Mapping) and isinstance(inner.get("text"), str)
        )
    return [held] if isinstance(held, str) else []
