"""Many things, a bounded number at a time."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

T = TypeVar("T")


def batched(things: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield them in their order, so many together."""
    coming = iter(things)
    while part := list(islice(coming, size)):
        yield part
