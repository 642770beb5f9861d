"""Events of a job."""

import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Sequence

from backstay.batch.item import FailureEvent
from backstay.batch.job import FINISHED, Job, JobState
from backstay.batch.service import Batches
from backstay.schemas import ItemFailedOut, JobProgressOut, JobStateOut
from backstay.server.events.event import encode_event
from backstay.server.events.feed import Feed

_ENDED_STATES = (*FINISHED, JobState.CANCELLED)
_MAX_FAILURES_IN_MEMORY = 1_000  # shared by all listeners; a listener further behind reads the database
_PAGE = 500
_RATE_WINDOW_SECONDS = 10.0


class JobFeed(Feed):
    """The events of a job: `progress`, `state`, and `item_failed`, whose numbers let a client miss no failure."""

    def __init__(self, batches: Batches, job_id: str, *, poll_seconds: float) -> None:
        super().__init__(poll_seconds=poll_seconds)
        self._batches = batches
        self._job_id = job_id
        self._done_counts: deque[tuple[float, int]] = deque()
        self._failed: deque[tuple[int, bytes]] = deque()
        self._complete_since = 0
        """The number of the failure after which all failures are in memory."""

    async def begin(self) -> None:
        # The number is read first, so that a failure in between is sent twice rather than never.
        self._complete_since = self._last = await self._batches.last_failure(self._job_id)
        self._update(await self._batches.checkpoint(self._job_id))

    async def poll(self) -> bool:
        previous, last = self._job, self._last
        while page := await self._batches.failures_since(self._job_id, self._last, limit=_PAGE):
            self._remember(page)
            if len(page) < _PAGE:
                break
        # The job is read after the failures, so that they are sent before the job's end.
        self._update(await self._batches.checkpoint(self._job_id))
        self.is_over = self._is_at_rest
        return self._job != previous or self._last != last or self.is_over

    def has_nothing_after(self, number: int) -> bool:
        return self._is_at_rest and number >= self._last

    @property
    def _is_at_rest(self) -> bool:
        """Whether the job has ended and has no workers."""
        return self._job.state in _ENDED_STATES and not self._job.workers

    def events(self, after: int | None) -> AsyncGenerator[bytes]:
        # The position is read now rather than at the first event, so that a listener misses nothing since it joined.
        return self._events(self.version, self._last if after is None else after)

    async def _events(self, version: int, seen: int) -> AsyncGenerator[bytes]:
        # The event has a number, so that a client disconnected before the first failure knows where to continue.
        yield encode_event("progress", self._latest, id=seen)
        yield encode_event("state", JobStateOut.from_job(self._job))
        job = self._job
        while True:
            is_over = self.is_over
            async for number, failed in self._failed_after(seen):
                seen = number
                yield failed
            if self._job != job:
                has_changed_state = (self._job.state, self._job.pause) != (job.state, job.pause)
                job = self._job
                yield self._progress
                if has_changed_state:
                    yield encode_event("state", JobStateOut.from_job(job))
            if is_over:
                return
            version = await self.changed_since(version)

    async def _failed_after(self, seen: int) -> AsyncIterator[tuple[int, bytes]]:
        while seen < self._complete_since:
            page = await self._batches.failures_since(self._job_id, seen, limit=_PAGE)
            for failure in page:
                seen = failure.sequence
                yield seen, encode_event("item_failed", ItemFailedOut.from_event(failure), id=seen)
            if len(page) < _PAGE:
                break
        for number, failed in tuple(self._failed):
            if number > seen:
                seen = number
                yield number, failed

    def _remember(self, page: Sequence[FailureEvent]) -> None:
        for failure in page:
            self._last = failure.sequence
            event = encode_event("item_failed", ItemFailedOut.from_event(failure), id=self._last)
            self._failed.append((self._last, event))
        while len(self._failed) > _MAX_FAILURES_IN_MEMORY:
            self._complete_since, _ = self._failed.popleft()

    def _update(self, job: Job) -> None:
        self._job = job
        now, done_count = time.monotonic(), job.counts.done
        self._done_counts.append((now, done_count))
        while len(self._done_counts) > 2 and now - self._done_counts[0][0] > _RATE_WINDOW_SECONDS:
            self._done_counts.popleft()
        since, done_before = self._done_counts[0]
        rate = (done_count - done_before) / (now - since) if now > since else 0.0
        self._latest = JobProgressOut.from_job(job, rate=max(0.0, rate))
        self._progress = encode_event("progress", self._latest)
