"""Having the next thing made while one is used: one processor computes beside another, or while the disk reads."""

from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def prefetch(source: Iterator[T]) -> Generator[T]:
    """Yield what `source` does, which runs in a thread of its own, one step ahead. Blocks.

    Nothing runs any more once this is at its end, or closed. What `source` yields is never None.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="backstay-ahead") as thread:
        coming = thread.submit(next, source, None)
        while (made := coming.result()) is not None:
            coming = thread.submit(next, source, None)
            yield made
