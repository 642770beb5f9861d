"""Jobs that this server works on, in the background of its requests."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

from backstay.app import Backstay
from backstay.batch.job import Job, JobState, RunLimits
from backstay.batch.stop import StopSignal
from backstay.batch.worker import EndReason
from backstay.errors import BackstayError
from backstay.generate.allowlist import AllowedEntry
from backstay.logs import get_logger
from backstay.server.limits import ConcurrencyLimit
from backstay.server.metrics import Metrics
from backstay.server.permission import ResumePermission

_log = get_logger("backstay.server")

_LOOK_SECONDS = 15.0  # how often one looks for interrupted jobs, where these are taken up automatically
_PATIENCE_SECONDS = 5.0  # beyond the grace, for the last commits


@dataclass(slots=True)
class _Run:
    """A run, and what it was told since it began."""

    limit: int | None
    allowed: AllowedEntry | None
    stop: StopSignal = field(default_factory=StopSignal)
    is_wanted_again: bool = False
    """A request to resume came while it was ending: the job had been paused, or had ended and got items back."""


class Supervisor:
    """Starts runs, forgets them when they end, and stops them all when the server stops.

    A job is worked on by one run in this process at most. Other processes may work on it too: they share it.
    """

    def __init__(
        self,
        *,
        backstay: Backstay,
        permission: ResumePermission,
        metrics: Metrics,
        slots: ConcurrencyLimit,
        grace_seconds: float,
    ) -> None:
        self._backstay = backstay
        self._permission = permission
        self._metrics = metrics
        self._grace_seconds = grace_seconds
        self._slots = slots
        self._runs: dict[tuple[str, str], _Run] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._looking: asyncio.Task[None] | None = None
        self._is_stopping = False

    @property
    def worked(self) -> int:
        """How many jobs are being worked on here."""
        return len(self._runs)

    async def resume(
        self,
        owner: str,
        job_id: str,
        *,
        confirm: str | None = None,
        limits: RunLimits | None = None,
        limit: int | None = None,
        retries: Sequence[str] | None = (),
    ) -> Job:
        """Begin to work on a job that may have been started elsewhere, unless this server already does; return the job.

        Args:
            owner: The owner of the job.
            job_id: Its name.
            confirm: The function that the job may call although the settings do not name it.
            limits: Kept with the job; a run that is already at work keeps its own.
            limit: Items claimed at most.
            retries: Failed items to put back to pending first; None for all.

        Raises like `Batches.prepare_resume` and `Batches.retry`; ConfirmationNeeded; Problem when too many jobs are
        running.
        """
        job = await self._backstay.for_owner(owner).batches.checkpoint(job_id)
        allowed = self._permission.allowed_for(job, confirm)
        batches = self._backstay.for_owner(owner, allowed).batches
        await batches.prepare_resume(job_id, limits)
        if retries is None or retries:
            await batches.retry(job_id, retries)
        return await self.start(owner, job_id, limit=limit, allowed=allowed)

    async def start(
        self, owner: str, job_id: str, *, limit: int | None = None, allowed: AllowedEntry | None = None
    ) -> Job:
        """Begin to work on a job, unless this server does already; return the job.

        Without `allowed` it runs what the settings name. Raises like `Batches.prepare_resume`, and Problem when too
        many jobs are running, in total or of this owner.
        """
        batches = self._backstay.for_owner(owner, allowed).batches
        job = await batches.prepare_resume(job_id)
        run = self._runs.get((owner, job_id))
        if run is not None:
            run.is_wanted_again = run.is_wanted_again or (job.is_incomplete and job.state is not JobState.RUNNING)
        elif job.is_incomplete and not self._is_stopping:
            self._slots.acquire(owner)
            run = self._runs[owner, job_id] = _Run(limit, allowed)
            self._tasks.add(asyncio.create_task(self._work(owner, job_id, run)))
        return job

    def resume_interrupted(self) -> None:
        """Take up interrupted jobs, now and from time to time."""
        self._looking = asyncio.create_task(self._poll())

    def stop_soon(self) -> None:
        """Ask all runs to stop: no new calls, those in flight get their grace. May be called from anywhere."""
        self._is_stopping = True
        for run in list(self._runs.values()):
            run.stop.request()

    async def stop(self) -> None:
        """Stop all runs, and return when they have; what they did not finish can be resumed."""
        self.stop_soon()
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait([self._looking])
        if not self._tasks:
            return
        _, late = await asyncio.wait(self._tasks, timeout=self._grace_seconds + _PATIENCE_SECONDS)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late, timeout=_PATIENCE_SECONDS)

    async def _work(self, owner: str, job_id: str, run: _Run) -> None:
        ending = "fault"
        try:
            ending = str(await self._until_ended(owner, job_id, run))
        except BackstayError as error:
            ending = "error"
            _log.warning("job_run_failed", job=job_id, code=error.code, error=error.message)
        except Exception as error:
            _log.exception("job_run_fault", job=job_id, error=type(error).__name__)
        finally:
            self._slots.release(owner)
            del self._runs[owner, job_id]
            self._tasks.discard(cast("asyncio.Task[None]", asyncio.current_task()))
            self._metrics.record_run_end(ending)

    async def _until_ended(self, owner: str, job_id: str, run: _Run) -> EndReason:
        batches = self._backstay.for_owner(owner, run.allowed).batches
        while True:
            result = await batches.resume(job_id, limit=run.limit, stop=run.stop, grace_seconds=self._grace_seconds)
            counts = result.counts
            _log.info(
                "job_run_ended", job=job_id, ending=result.ending, completed=counts.completed, failed=counts.failed
            )
            if result.ending not in (EndReason.PAUSED, EndReason.FINISHED) or not run.is_wanted_again:
                return result.ending
            run.is_wanted_again = False

    async def _poll(self) -> None:
        while True:
            try:
                for owner in await self._backstay.owners():
                    for job in await self._backstay.for_owner(owner).batches.incomplete():
                        if job.state is JobState.INTERRUPTED:
                            await self._resume_interrupted(owner, job.id)
            except BackstayError as error:
                _log.warning("interrupted_jobs_unseen", code=error.code, error=error.message)
            await asyncio.sleep(_LOOK_SECONDS)

    async def _resume_interrupted(self, owner: str, job_id: str) -> None:
        try:
            await self.start(owner, job_id)
        except Exception as error:  # of this one job: the others are taken up all the same
            _log.info("interrupted_job_left", job=job_id, code=getattr(error, "code", type(error).__name__))
