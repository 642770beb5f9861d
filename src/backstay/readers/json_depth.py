"""The maximum nesting depth of JSON. Stored values are written inside further levels, which count too."""

from itertools import chain
from typing import Any

MAX_DEPTH = 100
"""The maximum levels of a row: an item, or a conversation with its turns and all metadata."""
METADATA_OUTER_LEVELS = 3
"""The levels of a conversation outside a turn's metadata. The conversation's own metadata has the same limit."""
TOO_DEEP = f"nested more than {MAX_DEPTH} levels deep"

_NESTING = (dict, list, tuple)


def is_too_deep(value: Any, *, outer_levels: int = 0) -> bool:
    """Return whether a value is too deep inside `outer_levels` other levels."""
    level = [value] if isinstance(value, _NESTING) else []
    for _ in range(MAX_DEPTH - outer_levels):
        if not level:
            return False
        elements = chain.from_iterable(each.values() if isinstance(each, dict) else each for each in level)
        level = [inner for inner in elements if isinstance(inner, _NESTING)]
    return bool(level)


def may_be_too_deep(text: str | bytes | bytearray, *, outer_levels: int = 0) -> bool:
    """Return whether JSON text has enough brackets to be too deep. Counting is fast, and most text has few."""
    opening = ("{", "[") if isinstance(text, str) else (b"{", b"[")
    return sum(map(text.count, opening)) > MAX_DEPTH - outer_levels  # type: ignore[arg-type]  # same type as the text
