"""Inspection of jobs: their states, items and failures."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from backstay.batch import liveness
from backstay.batch.deleted_results import DeletedResults
from backstay.batch.item import FailedItem, FailureEvent, ItemSummary
from backstay.batch.job import Job, JobState
from backstay.batch.store import BatchStores
from backstay.errors import JobNotFound

_PAGE_ITEMS = 500


class JobInspection:
    """Read access to the jobs of one owner."""

    def __init__(self, *, stores: BatchStores, owner: str) -> None:
        self._stores = stores
        self._owner = owner

    async def checkpoint(self, job_id: str) -> Job:
        """Return a job with its current state and counts. Raises JobNotFound."""
        return await self._with_live_state(await self._stores.jobs.job(self._owner, job_id))

    async def list(self, *, before: int | None = None, limit: int = 100) -> Sequence[Job]:
        """Return jobs, newest first; `before` is the `key` of the last job of the previous page."""
        jobs = await self._stores.jobs.jobs(self._owner, incomplete=False, before=before, limit=limit)
        return [await self._with_live_state(job) for job in jobs]

    async def incomplete(self, *, before: int | None = None, limit: int = 100) -> Sequence[Job]:
        """Return jobs with work left: pending, running, interrupted or paused. Paged like `list`."""
        jobs = await self._stores.jobs.jobs(self._owner, incomplete=True, before=before, limit=limit)
        return [await self._with_live_state(job) for job in jobs]

    async def items_page(self, job_id: str, *, after: int = -1, limit: int = 100) -> Sequence[ItemSummary]:
        """Return items after position `after`, in order. Raises JobNotFound."""
        return await self._stores.jobs.items(self._owner, job_id, after=after, limit=limit)

    async def failed(self, job_id: str) -> AsyncIterator[FailedItem]:
        """Yield the failed items of a job, each with the attempt that settled it. Raises JobNotFound."""
        after = -1
        while page := await self._stores.jobs.failures(self._owner, job_id, after=after, limit=_PAGE_ITEMS):
            for failure in page:
                yield failure
            after = page[-1].position

    async def failed_page(self, job_id: str, *, after: int = -1, limit: int = 100) -> Sequence[FailedItem]:
        """Return failed items after position `after`, in order. Raises JobNotFound."""
        return await self._stores.jobs.failures(self._owner, job_id, after=after, limit=limit)

    async def failure_codes(self, job_id: str) -> Mapping[str, bool]:
        """Return the codes of failed items, each with whether a raw answer is stored for one. Raises JobNotFound."""
        return await self._stores.jobs.failure_codes(self._owner, job_id)

    async def deleted_results(self, job_id: str) -> DeletedResults:
        """Return how many completed items of a job have lost their conversation to a delete. Raises JobNotFound."""
        return await self._stores.deleted_results.count(self._owner, job_id)

    async def evidence(self, job_id: str) -> Sequence[FailedItem]:
        """Return the attempts that led a job to pause itself, newest first. Raises JobNotFound."""
        return await self._stores.jobs.pause_evidence(self._owner, job_id)

    async def last_failure(self, job_id: str) -> int:
        """Return the sequence number of the latest failure of a job, or 0 if there was none. Raises JobNotFound."""
        return await self._stores.jobs.last_failure(self._owner, job_id)

    async def failures_since(self, job_id: str, after: int, *, limit: int = 100) -> Sequence[FailureEvent]:
        """Return failures with a sequence number above `after`, in order; none is ever missed."""
        return await self._stores.jobs.failures_since(self._owner, job_id, after=after, limit=limit)

    async def _with_live_state(self, job: Job) -> Job:
        """Return the job as interrupted if it is stored as running but has no worker that may be alive."""
        if job.state is not JobState.RUNNING:
            return job
        for row in await self._stores.work.workers(self._owner, job.id):
            if not liveness.is_proven_dead(row.identity):
                return job
        with suppress(JobNotFound):  # the job may have ended since it was read, and even been discarded
            job = await self._stores.jobs.job(self._owner, job.id)
        return replace(job, state=JobState.INTERRUPTED, provider_wait=None) if job.state is JobState.RUNNING else job
