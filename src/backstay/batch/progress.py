"""Progress as this run sees it, told to whoever listens."""

import inspect
import time
from collections.abc import Awaitable, Callable

from backstay.batch.checkpoint import ItemCounts, JobProgress, ProviderWait, TokenCounts
from backstay.logs import get_logger

_log = get_logger("backstay.progress")

Listener = Callable[[JobProgress], Awaitable[None] | None]

_SECONDS_BETWEEN = 0.1


class ProgressReporter:
    """Tells a listener of progress, at most ten times a second, the latest always last.

    A listener that raises is told no more: a broken progress bar must not cost anybody their batch.
    """

    def __init__(self, *, job_id: str, listener: Listener | None) -> None:
        self._job_id = job_id
        self._listener = listener
        self._started_at = time.monotonic()
        self._done_at_start: int | None = None
        self._told_at = 0.0

    async def report(
        self, counts: ItemCounts, tokens: TokenCounts, waiting: ProviderWait | None = None, *, last: bool = False
    ) -> None:
        """Tell, unless it was told a moment ago; `last` is always told."""
        if self._done_at_start is None:
            self._done_at_start = counts.done
        now = time.monotonic()
        if self._listener is None or (not last and now - self._told_at < _SECONDS_BETWEEN):
            return
        self._told_at = now
        try:
            told = self._listener(self._progress(counts, tokens, waiting, now - self._started_at))
            if inspect.isawaitable(told):
                await told
        except Exception as error:
            _log.exception("progress_listener_failed", job=self._job_id, error=type(error).__name__)
            self._listener = None

    def _progress(
        self, counts: ItemCounts, tokens: TokenCounts, waiting: ProviderWait | None, elapsed: float
    ) -> JobProgress:
        done = counts.done - (self._done_at_start or 0)
        rate = done / elapsed if elapsed > 0 else 0.0
        left = counts.planned - counts.settled
        eta = left / rate if rate > 0 else (0.0 if left == 0 else None)
        return JobProgress(self._job_id, counts, tokens, elapsed, rate, eta, waiting)
