"""A bounded mapping of the latest keys, which keeps memory flat over millions of items."""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

_DEFAULT_CAPACITY = 10_000


class RecentValues(Generic[K, V]):
    """At most `capacity` values by key; one more removes the oldest."""

    def __init__(self, capacity: int = _DEFAULT_CAPACITY) -> None:
        self._capacity = capacity
        self._values: OrderedDict[K, V] = OrderedDict()

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: K) -> V | None:
        """Return the value of a key, or None."""
        return self._values.get(key)

    def put(self, key: K, value: V) -> None:
        """Set the value of a key, which becomes the newest."""
        self._values[key] = value
        self._values.move_to_end(key)
        if len(self._values) > self._capacity:
            self._values.popitem(last=False)

    def forget(self, key: K) -> None:
        """Remove a key. Idempotent."""
        self._values.pop(key, None)
