"""The signal by which a run is asked to stop, and how long its worker then waits for calls in flight."""

import math
import time
from collections.abc import Callable

from backstay.logs import get_logger

_log = get_logger("backstay.worker")

_LOG_WAIT_AFTER_SECONDS = 1.0  # how long a worker that pauses waits for its calls before it logs that


class StopSignal:
    """A request to stop a run: no new calls, a grace period for those in flight, and a commit of finished items.

    One object serves one run. `request` may be called from the event loop, another thread or a signal handler.
    """

    def __init__(self) -> None:
        self._requested = False
        self._at_once = False
        self._listeners: list[Callable[[], None]] = []

    @property
    def requested(self) -> bool:
        return self._requested

    @property
    def at_once(self) -> bool:
        """Whether calls in flight get no grace period."""
        return self._at_once

    def request(self, *, at_once: bool = False) -> None:
        """Request the stop. A repeated call has an effect only if it is the first with `at_once`."""
        if self._requested and (self._at_once or not at_once):
            return
        if at_once:  # a concurrent request without it must not undo that
            self._at_once = True
        self._requested = True
        for listener in self._listeners:
            listener()

    def when_requested(self, listener: Callable[[], None]) -> None:
        """Call `listener` when a stop is requested, in the thread of `request`; at once if it was requested already."""
        self._listeners.append(listener)
        if self._requested:
            listener()


class EndDeadline:
    """The time, by the monotonic clock, after which a worker that ends abandons its calls in flight."""

    def __init__(self, *, stop: StopSignal, grace_seconds: float, job_id: str) -> None:
        self._stop = stop
        self._grace_seconds = grace_seconds
        self._job_id = job_id
        self._stop_by: float | None = None
        self._announce_at = 0.0

    def after_stop(self) -> float:
        """Return the deadline of a requested stop; the grace period begins with the first call."""
        if self._stop.at_once:
            self._stop_by = 0.0
        elif self._stop_by is None:
            self._stop_by = time.monotonic() + self._grace_seconds
        return self._stop_by

    def before_pause(self, calls: int) -> float:
        """Return infinity: calls in flight may be paid for, and each ends by its time-out. Logs a long wait."""
        now = time.monotonic()
        self._announce_at = self._announce_at or now + _LOG_WAIT_AFTER_SECONDS
        if now >= self._announce_at and calls:
            self._announce_at = math.inf
            _log.warning("pause_delayed_by_calls", job=self._job_id, calls=calls)
        return math.inf

    def shorten(self, timeout_seconds: float) -> float:
        """Return a timeout, shortened to the deadline of a stop if the grace period has begun."""
        if self._stop_by is None:
            return timeout_seconds
        return min(timeout_seconds, max(0.0, self._stop_by - time.monotonic()))
