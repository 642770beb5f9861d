"""Merging of streamed deltas into whole values. Pure."""

from collections.abc import Mapping
from typing import Any


class DeltaMerger:
    """A merger of values that arrive in pieces: texts, lists and objects are joined, other values are replaced."""

    _WHOLE_FIELDS = frozenset({"role", "type", "id", "name"})  # sent once, or repeated in each delta

    def __init__(self) -> None:
        self._values: dict[str, Any] = {}

    def add(self, values: Mapping[str, Any]) -> None:
        for name, value in values.items():
            merged = self._values.get(name)
            if value is None or (value == "" and name in self._WHOLE_FIELDS) or value == []:
                continue
            if name in self._WHOLE_FIELDS:
                self._values[name] = value
            elif isinstance(value, str | list):
                pieces = merged if isinstance(merged, list) else []
                pieces += [value] if isinstance(value, str) else value
                self._values[name] = pieces
            elif isinstance(value, Mapping):
                inner = merged if isinstance(merged, DeltaMerger) else DeltaMerger()
                inner.add(value)
                self._values[name] = inner
            else:
                self._values[name] = value

    def join(self) -> dict[str, Any]:
        return {name: _join_value(value) for name, value in self._values.items()}


def _join_value(value: Any) -> Any:
    if isinstance(value, DeltaMerger):
        return value.join()
    if not isinstance(value, list):
        return value
    if all(isinstance(piece, str) for piece in value):
        return "".join(value)
    return [{"type": "text", "text": piece} if isinstance(piece, str) else piece for piece in value]
