"""Reports of a run's progress to a listener."""

import inspect
import time
from collections.abc import Awaitable, Callable

from backstay.batch.progress import ItemCounts, JobProgress, ProviderWait, TokenCounts
from backstay.logs import get_logger

_log = get_logger("backstay.progress")

Listener = Callable[[JobProgress], Awaitable[None] | None]

_MIN_INTERVAL_SECONDS = 0.1


class ProgressReporter:
    """The reporter of a run's progress, at most ten times a second, and always of the final state.

    A listener that raises is not called again: a broken progress bar must not end a batch.
    """

    def __init__(self, *, job_id: str, listener: Listener | None) -> None:
        self._job_id = job_id
        self._listener = listener
        self._started_at = time.monotonic()
        self._done_at_start: int | None = None
        self._reported_at = 0.0

    async def report(
        self, counts: ItemCounts, tokens: TokenCounts, waiting: ProviderWait | None = None, *, last: bool = False
    ) -> None:
        """Call the listener, unless it was called less than 0.1 s ago; the `last` report is always made."""
        if self._done_at_start is None:
            self._done_at_start = counts.done
        now = time.monotonic()
        if self._listener is None or (not last and now - self._reported_at < _MIN_INTERVAL_SECONDS):
            return
        self._reported_at = now
        try:
            returned = self._listener(self._progress(counts, tokens, waiting, now - self._started_at))
            if inspect.isawaitable(returned):
                await returned
        except Exception as error:
            _log.exception("progress_listener_failed", job=self._job_id, error=type(error).__name__)
            self._listener = None

    def _progress(
        self, counts: ItemCounts, tokens: TokenCounts, waiting: ProviderWait | None, elapsed: float
    ) -> JobProgress:
        finished = counts.done - (self._done_at_start or 0)
        rate = finished / elapsed if elapsed > 0 else 0.0
        remaining = counts.planned - counts.settled
        eta = remaining / rate if rate > 0 else (0.0 if remaining == 0 else None)
        return JobProgress(self._job_id, counts, tokens, elapsed, rate, eta, waiting)
