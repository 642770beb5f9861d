"""The maximum nesting depth of JSON. Stored values are written inside further levels, which count too."""

from typing import Any

DEEPEST = 100
"""The maximum levels of a row: an item, or a conversation with its turns and their metadata."""
AROUND_METADATA = 3
"""The levels of such a row around a turn's metadata. The metadata of a conversation has the same limit."""
TOO_DEEP = f"nested more than {DEEPEST} levels deep"

_NESTING = (dict, list, tuple)


def is_too_deep(value: Any, *, around: int = 0) -> bool:
    """Return whether a value is too deep inside `around` levels."""
    level = [value] if isinstance(value, _NESTING) else []
    for _ in range(DEEPEST - around):
        if not level:
            return False
        level = [inner for container in level for inner in _elements(container) if isinstance(inner, _NESTING)]
    return bool(level)


def may_be_too_deep(text: str | bytes | bytearray, *, around: int = 0) -> bool:
    """Return whether JSON text has enough brackets to be too deep. Counting is fast, and most text has few."""
    opening = ("{", "[") if isinstance(text, str) else (b"{", b"[")
    return sum(map(text.count, opening)) > DEEPEST - around  # type: ignore[arg-type]  # same type as the text


def _elements(value: Any) -> Any:
    return value.values() if isinstance(value, dict) else value
