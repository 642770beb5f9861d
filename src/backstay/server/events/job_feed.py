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
        self._failures: deque[tuple[int, bytes]] = deque()
        self._evicted_up_to = 0
        """The number of the last failure that is not in memory."""

    async def begin(self) -> None:
        job = await self._batches.checkpoint(self._job_id)
        self._evicted_up_to = self._last_failure = await self._batches.last_failure(self._job_id)
        self._update(job)

    async def poll(self) -> bool:
        previous = self._job, self._last_failure
        # The job is read before its failures, here and in `begin`: if it has ended, they are then complete.
        job = await self._batches.checkpoint(self._job_id)
        while page := await self._batches.failures_since(self._job_id, self._last_failure, limit=_PAGE):
            self._remember(page)
            if len(page) < _PAGE:
                break
        self._update(job)
        self.is_over = self._is_at_rest
        return (self._job, self._last_failure) != previous or self.is_over

    def has_nothing_after(self, number: int) -> bool:
        return self._is_at_rest and number >= self._last_failure

    @property
    def _is_at_rest(self) -> bool:
        """Whether the job has ended and has no workers."""
        return self._job.state in _ENDED_STATES and not self._job.workers

    def events(self, after: int | None) -> AsyncGenerator[bytes]:
        # The position is read now rather than at the first event, so that a listener misses nothing since it joined.
        return self._events(self.version, self._last_failure if after is None else after)

    async def _events(self, version: int, seen: int) -> AsyncGenerator[bytes]:
        sent = self._job
        # The event has a number, so that a client disconnected before the first failure knows where to continue.
        yield encode_event("progress", self._progress, id=seen)
        yield encode_event("state", JobStateOut.from_job(sent))
        while True:
            # Each value is read before a yield: while the listener reads an event, a poll may replace it.
            is_over, job, progress = self.is_over, self._job, self._progress
            async for number, failure in self._failures_after(seen):
                seen = number
                yield failure
            if job != sent:
                has_changed_state = (job.state, job.pause) != (sent.state, sent.pause)
                sent = job
                yield encode_event("progress", progress)
                if has_changed_state:
                    yield encode_event("state", JobStateOut.from_job(job))
            if is_over:
                return
            version = await self.changed_since(version)

    async def _failures_after(self, seen: int) -> AsyncIterator[tuple[int, bytes]]:
        while seen < self._evicted_up_to and (
            page := await self._batches.failures_since(self._job_id, seen, limit=_PAGE)
        ):
            for failure in page:
                seen = failure.sequence
                yield seen, _encode_failure(failure)
        for number, encoded in tuple(self._failures):
            if number > seen:
                yield number, encoded

    def _remember(self, page: Sequence[FailureEvent]) -> None:
        self._failures.extend((failure.sequence, _encode_failure(failure)) for failure in page)
        self._last_failure = page[-1].sequence
        while len(self._failures) > _MAX_FAILURES_IN_MEMORY:
            self._evicted_up_to, _ = self._failures.popleft()

    def _update(self, job: Job) -> None:
        self._job = job
        now, done_count = time.monotonic(), job.counts.done
        self._done_counts.append((now, done_count))
        while len(self._done_counts) > 2 and now - self._done_counts[0][0] > _RATE_WINDOW_SECONDS:
            self._done_counts.popleft()
        since, done_before = self._done_counts[0]
        rate = (done_count - done_before) / (now - since) if now > since else 0.0
        self._progress = JobProgressOut.from_job(job, rate=max(0.0, rate))


def _encode_failure(failure: FailureEvent) -> bytes:
    return encode_event("item_failed", ItemFailedOut.from_event(failure), id=failure.sequence)
