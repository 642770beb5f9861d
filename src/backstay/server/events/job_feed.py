"""Events of a job."""

import time
from collections import deque
from collections.abc import AsyncIterator, Sequence

from backstay.batch.item import FailureEvent
from backstay.batch.job import FINISHED, Job, JobState
from backstay.batch.service import Batches
from backstay.schemas import ItemFailedOut, JobProgressOut, JobStateOut
from backstay.server.events.event import ServerEvent, event
from backstay.server.events.feed import Feed

_AT_REST = (*FINISHED, JobState.CANCELLED)
_KEPT = 1_000  # failings in memory for all listeners; who is further behind reads them from the database
_PAGE = 500
_WINDOW_SECONDS = 10.0


class JobFeed(Feed):
    """`progress`, the latest wins; `state`; and `item_failed`, each with a number, of which none is left out."""

    def __init__(self, batches: Batches, job_id: str, *, poll_seconds: float) -> None:
        super().__init__(poll_seconds=poll_seconds)
        self._batches = batches
        self._job_id = job_id
        self._rates: deque[tuple[float, int]] = deque()
        self._failed: deque[tuple[int, ServerEvent]] = deque()
        self._complete_since = 0
        """Every failing after this one is in memory."""

    async def begin(self) -> None:
        # The number first: what fails in between is told once too often rather than never.
        self._complete_since = self._last = await self._batches.last_failure(self._job_id)
        self._take(await self._batches.checkpoint(self._job_id))

    async def poll(self) -> bool:
        before, last = self._job, self._last
        while page := await self._batches.failures_since(self._job_id, self._last, limit=_PAGE):
            self._remember(page)
            if len(page) < _PAGE:
                break
        # After the failings, so that the end is not told before them.
        self._take(await self._batches.checkpoint(self._job_id))
        self.is_over = self._is_at_rest
        return self._job != before or self._last != last or self.is_over

    def has_nothing_after(self, number: int) -> bool:
        return self._is_at_rest and number >= self._last

    @property
    def _is_at_rest(self) -> bool:
        """Whether the job has come to an end, and nobody is working on it."""
        return self._job.state in _AT_REST and not self._job.workers

    async def events(self, after: int | None) -> AsyncIterator[ServerEvent]:
        version, seen = self.version, self._last if after is None else after
        # Numbered at once: who loses the connection before anything failed knows where to go on all the same.
        yield event("progress", self._shown, id=seen)
        yield event("state", JobStateOut.from_job(self._job))
        job = self._job
        while True:
            over = self.is_over
            async for number, failed in self._failed_after(seen):
                seen = number
                yield failed
            if self._job != job:
                moved = (self._job.state, self._job.pause) != (job.state, job.pause)
                job = self._job
                yield self._progress
                if moved:
                    yield event("state", JobStateOut.from_job(job))
            if over:
                return
            version = await self.changed_since(version)

    async def _failed_after(self, seen: int) -> AsyncIterator[tuple[int, ServerEvent]]:
        while seen < self._complete_since:
            page = await self._batches.failures_since(self._job_id, seen, limit=_PAGE)
            for failing in page:
                seen = failing.sequence
                yield seen, event("item_failed", ItemFailedOut.from_event(failing), id=seen)
            if len(page) < _PAGE:
                break
        for number, failed in tuple(self._failed):
            if number > seen:
                seen = number
                yield number, failed

    def _remember(self, page: Sequence[FailureEvent]) -> None:
        for failing in page:
            self._last = failing.sequence
            self._failed.append((self._last, event("item_failed", ItemFailedOut.from_event(failing), id=self._last)))
        while len(self._failed) > _KEPT:
            self._complete_since, _ = self._failed.popleft()

    def _take(self, job: Job) -> None:
        self._job = job
        now, done = time.monotonic(), job.counts.done
        self._rates.append((now, done))
        while len(self._rates) > 2 and now - self._rates[0][0] > _WINDOW_SECONDS:
            self._rates.popleft()
        since, done_then = self._rates[0]
        rate = (done - done_then) / (now - since) if now > since else 0.0
        self._shown = JobProgressOut.from_job(job, rate=max(0.0, rate))
        self._progress = event("progress", self._shown)
