"""Batches of conversations: enough to share the cost of a statement, and few enough to fit in memory."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")

MAX_BATCH_CONVERSATIONS = 256
MAX_BATCH_BYTES = 2_000_000
"""The size at which a batch ends. The last conversation may exceed it."""
_FIRST_BATCH_CONVERSATIONS = 16


def split_by_size(elements: Iterable[T], size_of: Callable[[T], int]) -> Iterator[list[T]]:
    """Yield the elements in batches, of fewer where they are large; `size_of` returns their bytes."""
    batch: list[T] = []
    size = 0
    for element in elements:
        batch.append(element)
        size += size_of(element)
        if len(batch) == MAX_BATCH_CONVERSATIONS or size > MAX_BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


class BatchLimit:
    """The number of conversations to request at once, where their size is known only afterwards."""

    def __init__(self, maximum: int = MAX_BATCH_CONVERSATIONS) -> None:
        self.conversations = min(maximum, _FIRST_BATCH_CONVERSATIONS)
        self._maximum = maximum

    def adapt(self, count: int, size: int) -> None:
        """Request half of the last `count` if they had too many bytes, else twice as many as the last time."""
        is_large = size > MAX_BATCH_BYTES
        self.conversations = max(1, count // 2) if is_large else min(self._maximum, self.conversations * 2)
