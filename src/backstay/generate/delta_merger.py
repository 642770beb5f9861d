"""Merging of streamed deltas into whole values. Pure."""

from collections.abc import Mapping
from typing import Any


class DeltaMerger:
    """Values that arrive in pieces: texts, lists and the values of objects are joined, others are replaced."""

    _WHOLE = frozenset({"role", "type", "id", "name"})  # sent once, or repeated in each delta

    def __init__(self) -> None:
        self._values: dict[str, Any] = {}

    def add(self, values: Mapping[str, Any]) -> None:
        for name, value in values.items():
            known = self._values.get(name)
            if value is None or (value == "" and name in self._WHOLE) or value == []:
                continue
            if name in self._WHOLE:
                self._values[name] = value
            elif isinstance(value, str | list):
                pieces = known if isinstance(known, list) else []
                pieces += [value] if isinstance(value, str) else value
                self._values[name] = pieces
            elif isinstance(value, Mapping):
                inner = known if isinstance(known, DeltaMerger) else DeltaMerger()
                inner.add(value)
                self._values[name] = inner
            else:
                self._values[name] = value

    def joined(self) -> dict[str, Any]:
        return {name: _joined(value) for name, value in self._values.items()}


def _joined(value: Any) -> Any:
    if isinstance(value, DeltaMerger):
        return value.joined()
    if not isinstance(value, list):
        return value
    if all(isinstance(piece, str) for piece in value):
        return "".join(value)
    return [{"type": "text", "text": piece} if isinstance(piece, str) else piece for piece in value]
