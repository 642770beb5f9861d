"""A pool of reader threads that owners share fairly."""

import math
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from backstay.errors import ReadTooLong
from backstay.storage.sql.database import closed_error

T = TypeVar("T")

_MAX_OWNED_READS = 4
_MAX_READS_PER_OWNER = 2
_MAX_UNOWNED_READS = 1

MAX_READS = _MAX_OWNED_READS + _MAX_UNOWNED_READS
"""Maximum reads at once."""

_Read = tuple["Future[Any]", Callable[[], Any]]


class ReaderPool:
    """A pool that runs at most two reads at once per owner and four in total. The owner who waits longest is next.

    Reads without an owner, such as a readiness check, have their own thread.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: dict[str | None, deque[_Read]] = {}  # in order of turn
        self._running: Counter[str | None] = Counter()
        self._threads: list[threading.Thread] = []
        self._is_closed = False

    @property
    def waiting(self) -> int:
        """The number of reads that wait for a thread."""
        return sum(map(len, self._waiting.values()))

    def submit(self, owner: str | None, function: Callable[[], T]) -> "Future[T]":
        """Call `function` in a thread, unless it is cancelled while it waits. Raises StoreClosed."""
        future: Future[T] = Future()
        with self._changed:
            if self._is_closed:
                raise closed_error()
            self._waiting.setdefault(owner, deque()).append((future, function))
            if len(self._threads) < min(MAX_READS, self._running.total() + self.waiting):
                self._threads.append(threading.Thread(target=self._work, name="backstay-reader", daemon=True))
                self._threads[-1].start()
            self._changed.notify()
        return future

    def close(self) -> None:
        """Finish the submitted reads, then end the threads. Idempotent."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        owner: str | None
        while (item := self._take()) is not None:
            owner, (future, function) = item
            try:
                if future.set_running_or_notify_cancel():
                    _settle(future, function)
            finally:
                del future, function, item  # a waiting thread holds no references
                with self._changed:
                    self._running[owner] -= 1
                    self._changed.notify_all()

    def _take(self) -> tuple[str | None, _Read] | None:
        """Wait for the next read and take it; return None when the pool is closed."""
        with self._changed:
            while True:
                for owner, reads in self._waiting.items():
                    if self._may_start(owner):
                        read = reads.popleft()
                        del self._waiting[owner]
                        if reads:
                            self._waiting[owner] = reads
                        self._running[owner] += 1
                        return owner, read
                if self._is_closed and not self._waiting:
                    return None
                self._changed.wait()

    def _may_start(self, owner: str | None) -> bool:
        if owner is None:
            return self._running[None] < _MAX_UNOWNED_READS
        owned_reads = self._running.total() - self._running[None]
        return owned_reads < _MAX_OWNED_READS and self._running[owner] < _MAX_READS_PER_OWNER


def _settle(future: "Future[T]", function: Callable[[], T]) -> None:
    try:
        result = function()
    except BaseException as error:
        future.set_exception(error)
    else:
        future.set_result(result)


class ReadDeadline:
    """The deadline of one read, which also ends when its caller is cancelled."""

    def __init__(self, seconds: float | None) -> None:
        self._seconds = math.inf if seconds is None else seconds
        self._ends_at = math.inf
        self.is_cancelled = False

    def begin(self) -> None:
        """Start the time of the read. The wait for a thread does not count."""
        self._ends_at = time.monotonic() + self._seconds

    def is_over(self) -> bool:
        """Return whether the read must stop. Safe from any thread."""
        return self.is_cancelled or time.monotonic() >= self._ends_at

    def error(self) -> ReadTooLong:
        """Return the error of the stopped read."""
        if self.is_cancelled:
            return ReadTooLong("The read was stopped because its caller was cancelled")
        return ReadTooLong(
            f"The read took longer than the {self._seconds:g} seconds of `read_seconds` and was stopped; "
            "ask for less at once",
            seconds=self._seconds,
        )
