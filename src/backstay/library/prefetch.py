"""Prefetch of an iterator: another thread computes the next element while the current one is used."""

from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def prefetch(source: Iterator[T]) -> Generator[T]:
    """Yield the elements of `source`, which runs one step ahead in its own thread. Blocks.

    The thread has ended when this generator ends or is closed. `source` must not yield None.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="backstay-ahead") as thread:
        future = thread.submit(next, source, None)
        while (element := future.result()) is not None:
            future = thread.submit(next, source, None)
            yield element
