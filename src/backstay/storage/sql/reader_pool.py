"""Threads that read, which owners take turns on."""

import math
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from backstay.errors import ReadTooLong, StoreClosed

T = TypeVar("T")

_READERS = 4
_OF_ONE_OWNER = 2
_OF_NO_OWNER = 1

THREADS = _READERS + _OF_NO_OWNER
"""How many reads are under way at most."""

_Read = tuple["Future[Any]", Callable[[], Any]]


class ReaderPool:
    """Runs reads in threads: of each owner two at a time, of all owners four, and the owner is next who waits longest.

    What is read for no owner, such as whether the database answers, has a thread of its own.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: dict[str | None, deque[_Read]] = {}  # the owner whose turn it is first
        self._running: Counter[str | None] = Counter()
        self._threads: list[threading.Thread] = []
        self._is_closed = False

    @property
    def waiting(self) -> int:
        """How many reads wait for a thread."""
        return sum(map(len, self._waiting.values()))

    def submit(self, owner: str | None, function: Callable[[], T]) -> "Future[T]":
        """Have `function` called in a thread; one that is cancelled while it waits is not. Raises StoreClosed."""
        future: Future[T] = Future()
        with self._changed:
            if self._is_closed:
                raise StoreClosed("The database is not open; use it within `async with`")
            self._waiting.setdefault(owner, deque()).append((future, function))
            if len(self._threads) < min(THREADS, self._running.total() + self.waiting):
                self._threads.append(threading.Thread(target=self._work, name="backstay-reader", daemon=True))
                self._threads[-1].start()
            self._changed.notify()
        return future

    def close(self) -> None:
        """Let what was submitted end, and its threads with it. Idempotent."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        owner: str | None
        while (taken := self._take()) is not None:
            owner, (future, function) = taken
            try:
                if future.set_running_or_notify_cancel():
                    _settle(future, function)
            finally:
                del future, function, taken  # while it waits for the next, a thread holds nothing
                with self._changed:
                    self._running[owner] -= 1
                    self._changed.notify_all()

    def _take(self) -> tuple[str | None, _Read] | None:
        """Wait for the next read; None when there will be none."""
        with self._changed:
            while True:
                for owner, reads in self._waiting.items():
                    if self._has_room_for(owner):
                        read = reads.popleft()
                        del self._waiting[owner]
                        if reads:
                            self._waiting[owner] = reads
                        self._running[owner] += 1
                        return owner, read
                if self._is_closed and not self._waiting:
                    return None
                self._changed.wait()

    def _has_room_for(self, owner: str | None) -> bool:
        if owner is None:
            return self._running[None] < _OF_NO_OWNER
        of_owners = self._running.total() - self._running[None]
        return of_owners < _READERS and self._running[owner] < _OF_ONE_OWNER


def _settle(future: "Future[T]", function: Callable[[], T]) -> None:
    try:
        result = function()
    except BaseException as error:
        future.set_exception(error)
    else:
        future.set_result(result)


class Deadline:
    """When one read is over: its time is up, or no one waits for it any more."""

    def __init__(self, seconds: float | None) -> None:
        self._seconds = math.inf if seconds is None else seconds
        self._ends_at = math.inf
        self.is_given_up = False

    def begin(self) -> None:
        """Note that the read has begun: what it waited for a thread does not count."""
        self._ends_at = time.monotonic() + self._seconds

    def is_over(self) -> bool:
        """Whether it is to be stopped. From any thread."""
        return self.is_given_up or time.monotonic() >= self._ends_at

    def error(self) -> ReadTooLong:
        """The error for a read that was stopped because of this."""
        if self.is_given_up:
            return ReadTooLong("The read was stopped, since no one waits for it any more")
        return ReadTooLong(
            f"The read took longer than the {self._seconds:g} seconds of `read_seconds` and was stopped; "
            "ask for less at once",
            seconds=self._seconds,
        )
