"""Progress reports to a listener."""

import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from backstay.logs import get_logger

_log = get_logger("backstay.progress")

_MIN_INTERVAL_SECONDS = 0.1

Progress = TypeVar("Progress")


class ProgressReporter(Generic[Progress]):
    """A reporter of progress, at most ten times a second apart from reports that must be made.

    A listener that raises gets no further reports: a broken progress bar must not end the work.
    """

    def __init__(self, listener: Callable[[Progress], Awaitable[None] | None] | None, **context: str) -> None:
        self._listener = listener
        self._context = context
        self._reported_at = 0.0

    async def report(self, progress: Callable[[], Progress], *, always: bool) -> None:
        """Call the listener with what `progress` returns, always or if the last call was at least 0.1 s ago."""
        now = time.monotonic()
        if self._listener is None or not (always or now - self._reported_at >= _MIN_INTERVAL_SECONDS):
            return
        self._reported_at = now
        try:
            returned = self._listener(progress())
            if inspect.isawaitable(returned):
                await returned
        except Exception as error:
            _log.exception("progress_listener_failed", **self._context, error=type(error).__name__)
            self._listener = None
