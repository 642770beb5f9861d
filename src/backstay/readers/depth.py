"""How deep JSON may be nested: stored values are written again inside other levels."""

from typing import Any

DEEPEST = 100
"""Levels of a row: of an item, or of a conversation with its turns and their metadata."""
AROUND_METADATA = 3
"""Levels that such a row has around the metadata of a turn; the same limit holds for a conversation's metadata."""
TOO_DEEP = f"nested more than {DEEPEST} levels deep"

_NESTING = (dict, list, tuple)


def is_too_deep(value: Any, *, around: int = 0) -> bool:
    """Return whether a value is too deep inside `around` levels."""
    level = [value] if isinstance(value, _NESTING) else []
    for _ in range(DEEPEST - around):
        if not level:
            return False
        level = [inner for one in level for inner in _inner(one) if isinstance(inner, _NESTING)]
    return bool(level)


def may_be_too_deep(text: str | bytes | bytearray, *, around: int = 0) -> bool:
    """Return whether JSON text has enough brackets to be too deep; counting them is quick, and most text has few."""
    opening = ("{", "[") if isinstance(text, str) else (b"{", b"[")
    return sum(map(text.count, opening)) > DEEPEST - around  # type: ignore[arg-type]  # each of the text's own kind


def _inner(value: Any) -> Any:
    return value.values() if isinstance(value, dict) else value
