"""Runs of jobs in this process, their results, and the removal of what interrupted processes left behind."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from backstay.batch import liveness
from backstay.batch.creation import CreateResult, drop_leftovers
from backstay.batch.inspection import JobInspection
from backstay.batch.job import FINISHED, Job, JobAction, JobState, Pause, has_workers_error
from backstay.batch.lease import LeaseMonitor
from backstay.batch.leased_run import LeasedRun
from backstay.batch.processor import CallableProcessor, RateLimitable
from backstay.batch.progress import ItemCounts, JobProgressReporter, Listener, TokenCounts
from backstay.batch.stop_signal import StopSignal
from backstay.batch.store import BatchStores, ReplacementBackup
from backstay.batch.worker import EndReason, WorkerOptions
from backstay.logs import get_logger
from backstay.readers.bad_rows import BadRowsReport

_log = get_logger("backstay.batch")

_PATIENCE_LEASES = 1.2  # a worker whose beat is unchanged for one lease is dead; the rest is for the polls
_POLLS_PER_LEASE = 20


@dataclass(frozen=True, slots=True)
class BatchResult:
    """The result of a run: the job's state and counts afterwards, and why the run ended."""

    job_id: str
    state: JobState
    counts: ItemCounts
    tokens: TokenCounts
    ending: EndReason
    pause: Pause | None
    created: CreateResult | None
    did_nothing: bool
    """Whether the job was finished before this run."""
    seconds: float
    """Duration of the run, including the reading of its items."""

    @property
    def bad_rows(self) -> BadRowsReport:
        """The rows of the input that were left out because they cannot be used."""
        return self.created.bad_rows if self.created is not None else BadRowsReport()

    @property
    def completed(self) -> int:
        return self.counts.completed

    @property
    def failed(self) -> int:
        return self.counts.failed

    @property
    def skipped(self) -> int:
        return self.counts.skipped


BackUpReplaced = Callable[[Job], Awaitable[ReplacementBackup]]
"""Returns a usable backup of what a job that makes conversations again is still to replace. Raises BackupError."""


class JobRunner:
    """The runner of one owner's jobs."""

    def __init__(
        self,
        *,
        stores: BatchStores,
        owner: str,
        folder: Path,
        lease_seconds: float,
        concurrency: int,
        back_up_replaced: BackUpReplaced,
    ) -> None:
        self._stores = stores
        self._owner = owner
        self._folder = folder
        self._lease_seconds = lease_seconds
        self._concurrency = concurrency
        self._back_up_replaced = back_up_replaced
        self._jobs = JobInspection(stores=stores, owner=owner)

    async def run(
        self,
        job_id: str,
        callee: CallableProcessor,
        created: CreateResult | None,
        *,
        limit: int | None,
        grace_seconds: float,
        on_progress: Listener | None,
        stop: StopSignal,
    ) -> BatchResult:
        """Work on a job until there is a reason to end. If it is completed, clean its checkpoint."""
        await self._remove_leftovers()
        started = time.monotonic()
        job = await self._jobs.checkpoint(job_id)
        ending = EndReason.FINISHED
        did_nothing = job.state in FINISHED
        if not did_nothing:
            limits = job.settings.limits
            if isinstance(callee.function, RateLimitable):
                callee.function.bound_rate(rpm=limits.rpm, tpm=limits.tpm)
            concurrency = limits.concurrency or self._concurrency
            reporter = JobProgressReporter(job_id=job_id, listener=on_progress)
            run = LeasedRun(
                store=self._stores.work,
                job=job,
                callee=callee,
                options=WorkerOptions(concurrency, limit, grace_seconds, self._lease_seconds),
                monitor=self._monitor(job_id),
                stop=stop,
                folder=self._folder,
                reporter=reporter,
                backup=await self._back_up_replaced(job) if job.regenerates is not None else None,
            )
            ending = await run.run_until_ended()
            job = await self._jobs.checkpoint(job_id)
            await reporter.report(job.counts, job.tokens, last=True)
        if job.state is JobState.COMPLETED and not job.cleaned:
            await self._clean(job_id)
        return BatchResult(
            job_id=job_id,
            state=job.state,
            counts=job.counts,
            tokens=job.tokens,
            ending=ending,
            pause=job.pause,
            created=created,
            did_nothing=did_nothing,
            seconds=time.monotonic() - started,
        )

    async def wait_until_idle(self, job_id: str, action: JobAction | None = None) -> None:
        """Wait until a job has no worker that may be alive, so that it can be discarded, or `action` be performed.

        Raises:
            JobHasWorkers: a worker is alive, or still may be after slightly more than a lease.
        """
        monitor = self._monitor(job_id)
        deadline = time.monotonic() + _PATIENCE_LEASES * self._lease_seconds
        while await monitor.poll():
            rows = await self._stores.work.workers(self._owner, job_id)
            is_alive = any(liveness.liveness_of(row.identity) is liveness.Liveness.ALIVE for row in rows)
            if is_alive or time.monotonic() > deadline:
                raise has_workers_error(job_id, action)
            await asyncio.sleep(self._lease_seconds / _POLLS_PER_LEASE)

    async def _remove_leftovers(self) -> None:
        """Remove what interrupted creations and discards, dead workers and interrupted cleanings left behind."""
        await drop_leftovers(self._stores, self._owner)
        for job_id in await self._stores.jobs.finished_jobs_with_leases(self._owner):
            await self._monitor(job_id).poll()
        for job_id in await self._stores.jobs.jobs_to_clean(self._owner):
            await self._clean(job_id)

    async def _clean(self, job_id: str) -> None:
        while await self._stores.jobs.clean_step(self._owner, job_id):
            pass
        _log.info("checkpoint_cleaned", job=job_id)

    def _monitor(self, job_id: str) -> LeaseMonitor:
        return LeaseMonitor(
            store=self._stores.work, owner=self._owner, job_id=job_id, lease_seconds=self._lease_seconds
        )
