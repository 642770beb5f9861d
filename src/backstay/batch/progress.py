"""The stored progress of a job, and the live progress of a run with its reports to a listener."""

import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

from backstay.progress import ProgressReporter


@dataclass(frozen=True, slots=True)
class ItemCounts:
    """The number of a job's items in each state. The sum is always the number of planned items."""

    pending: int = 0
    running: int = 0
    completed: int = 0
    failed: int = 0
    skipped: int = 0

    @property
    def planned(self) -> int:
        return self.pending + self.running + self.completed + self.failed + self.skipped

    @property
    def settled(self) -> int:
        """Number of items that need no more work."""
        return self.completed + self.failed + self.skipped

    @property
    def done(self) -> int:
        """Number of items that need no more work and have not failed."""
        return self.completed + self.skipped

    @property
    def all_settled(self) -> bool:
        return self.pending == 0 and self.running == 0


@dataclass(frozen=True, slots=True)
class TokenCounts:
    """Tokens sent and received, including those of failed attempts."""

    tokens_in: int = 0
    tokens_out: int = 0


@dataclass(frozen=True, slots=True)
class ProviderWait:
    """A pause of all of a worker's calls, for example because of a rate limit."""

    reason: str
    """Such as `Rate limited by api.openai.com`."""
    detail: str
    """Such as `429: per-minute quota`."""
    until: datetime
    """Time of the next call, in UTC."""

    def format_message(self, now: datetime) -> str:
        """Return a message like `Rate limited by api.openai.com; retrying in 8 s (429: per-minute quota)`."""
        seconds = max(0, math.ceil((self.until - now).total_seconds()))
        duration = f"{seconds} s" if seconds < 120 else f"{math.ceil(seconds / 60)} min"
        return f"{self.reason}; retrying in {duration} ({self.detail})"


@dataclass(frozen=True, slots=True)
class JobProgress:
    """The progress of a job during a run.

    `rate` is the number of items completed or skipped per second since the run began, by other workers too.
    `eta_seconds` is computed from it, since the speed of earlier runs says nothing about this one.
    """

    job_id: str
    counts: ItemCounts
    tokens: TokenCounts
    elapsed_seconds: float
    rate: float
    eta_seconds: float | None
    provider_wait: ProviderWait | None = None
    """What all calls currently wait for, if anything."""

    @property
    def planned(self) -> int:
        return self.counts.planned

    @property
    def completed(self) -> int:
        return self.counts.completed

    @property
    def failed(self) -> int:
        return self.counts.failed

    @property
    def percentage(self) -> float:
        """Percentage of the items that are settled, from 0 to 100."""
        return 100.0 * self.counts.settled / self.counts.planned if self.counts.planned else 100.0


Listener = Callable[[JobProgress], Awaitable[None] | None]


class JobProgressReporter:
    """A reporter of a run's progress that always reports the final state."""

    def __init__(self, *, job_id: str, listener: Listener | None) -> None:
        self._job_id = job_id
        self._reporter = ProgressReporter(listener, job=job_id)
        self._started_at = time.monotonic()
        self._done_at_start: int | None = None

    async def report(
        self, counts: ItemCounts, tokens: TokenCounts, waiting: ProviderWait | None = None, *, last: bool = False
    ) -> None:
        """Report progress, unless that was done less than 0.1 s ago; the `last` report is always made."""
        if self._done_at_start is None:
            self._done_at_start = counts.done
        # There may be fewer than at the start: results of earlier runs that were deleted are generated again.
        finished = max(0, counts.done - self._done_at_start)
        await self._reporter.report(lambda: self._progress(counts, finished, tokens, waiting), always=last)

    def _progress(
        self, counts: ItemCounts, finished: int, tokens: TokenCounts, waiting: ProviderWait | None
    ) -> JobProgress:
        elapsed_seconds = time.monotonic() - self._started_at
        rate = finished / elapsed_seconds if elapsed_seconds > 0 else 0.0
        remaining = counts.planned - counts.settled
        eta = remaining / rate if rate > 0 else (0.0 if remaining == 0 else None)
        return JobProgress(self._job_id, counts, tokens, elapsed_seconds, rate, eta, waiting)
