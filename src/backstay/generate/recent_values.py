"""A mapping that remembers the latest keys only, so that memory stays flat over millions of items."""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

_MAX = 10_000


class RecentValues(Generic[K, V]):
    """At most `most` values by key; putting one more forgets the one that was put first."""

    def __init__(self, most: int = _MAX) -> None:
        self._most = most
        self._values: OrderedDict[K, V] = OrderedDict()

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: K) -> V | None:
        """Return the value of a key, None where there is none or it was forgotten."""
        return self._values.get(key)

    def put(self, key: K, value: V) -> None:
        """Set the value of a key."""
        self._values[key] = value
        self._values.move_to_end(key)
        if len(self._values) > self._most:
            self._values.popitem(last=False)

    def forget(self, key: K) -> None:
        """Remove a key, where it is there."""
        self._values.pop(key, None)
