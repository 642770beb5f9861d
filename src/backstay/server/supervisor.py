"""The jobs that this server works on in the background."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from backstay.app import Backstay
from backstay.batch.call_limits import CallLimits
from backstay.batch.job import Job, JobState
from backstay.batch.stop_signal import StopSignal
from backstay.batch.worker import EndReason
from backstay.errors import BackstayError
from backstay.generate.allowlist import AllowedEntry
from backstay.logs import get_logger
from backstay.server.metrics import Metrics
from backstay.server.problems import Problem
from backstay.server.request_limits import ConcurrencyLimit
from backstay.server.resume_permission import ResumePermission

_log = get_logger("backstay.server")

_POLL_SECONDS = 15.0  # between two searches for interrupted jobs, if automatic resume is on
_COMMIT_SECONDS = 5.0  # for the last commits, after the grace period


@dataclass(slots=True)
class _Run:
    """A run in progress, and whether to start it again when it ends."""

    limit: int | None
    allowed: AllowedEntry | None
    stop: StopSignal = field(default_factory=StopSignal)
    is_requested_again: bool = False
    """Whether a request to resume the job arrived while the run was ending; its limit and its permission count."""


class Supervisor:
    """The runs of this server, which it starts, and all of which it stops when the server stops.

    A job has at most one run in this process. Other processes may work on the same job.
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
        self._polling: asyncio.Task[None] | None = None
        self._is_stopping = False

    @property
    def job_count(self) -> int:
        """The number of jobs that this server is working on."""
        return len(self._runs)

    async def resume(
        self,
        owner: str,
        job_id: str,
        *,
        confirm: str | None = None,
        limits: CallLimits | None = None,
        limit: int | None = None,
        retries: Sequence[str] | None = (),
    ) -> Job:
        """Start working on a job, wherever it was created, unless this server already does; return the job.

        Args:
            owner: The job's owner.
            job_id: The job's name.
            confirm: The function that the job may call although the settings do not name it.
            limits: Limits to store with the job; a current run keeps its own.
            limit: Maximum number of items to claim.
            retries: Failed items to requeue first; None for all.

        Raises like `Batches.prepare_resume` and `Batches.retry`; ConfirmationNeeded; Problem if too many jobs run, when
        the limits are stored and the items requeued already.
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
        """Start working on a job, unless this server already does; return the job.

        Without `allowed`, the job may run what the settings name. Raises like `Batches.prepare_resume`; Problem if too
        many jobs are running, in total or of this owner.
        """
        batches = self._backstay.for_owner(owner, allowed).batches
        job = await batches.prepare_resume(job_id)
        run = self._runs.get((owner, job_id))
        if run is not None:
            if job.is_incomplete and job.state is not JobState.RUNNING:
                run.is_requested_again, run.limit, run.allowed = True, limit, allowed
        elif job.is_incomplete and not self._is_stopping:
            self._slots.acquire(owner)
            run = self._runs[owner, job_id] = _Run(limit, allowed)
            task = asyncio.create_task(self._work(owner, job_id, run))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return job

    def resume_interrupted(self) -> None:
        """Resume interrupted jobs, now and periodically."""
        self._polling = asyncio.create_task(self._poll())

    def stop_soon(self) -> None:
        """Ask all runs to stop: they start no calls, and wait briefly for those in flight. Safe in a signal handler."""
        self._is_stopping = True
        for run in list(self._runs.values()):
            run.stop.request()

    def reopen(self) -> None:
        """Accept runs again after a stop: an application may be started more than once."""
        self._is_stopping = False

    async def stop(self) -> None:
        """Stop all runs, and wait until they have stopped. Their unfinished jobs can be resumed."""
        self.stop_soon()
        if self._polling is not None:
            self._polling.cancel()
            await asyncio.wait([self._polling])
        if not self._tasks:
            return
        _, late = await asyncio.wait(self._tasks, timeout=self._grace_seconds + _COMMIT_SECONDS)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late, timeout=_COMMIT_SECONDS)

    async def _work(self, owner: str, job_id: str, run: _Run) -> None:
        ending = "internal_error"
        try:
            ending = str(await self._run_until_ended(owner, job_id, run))
        except BackstayError as error:
            ending = "error"
            _log.warning("job_run_failed", job=job_id, code=error.code, error=error.message)
        except Exception as error:
            _log.exception("job_run_crashed", job=job_id, error=type(error).__name__)
        finally:
            self._slots.release(owner)
            del self._runs[owner, job_id]
            self._metrics.record_run_end(ending)

    async def _run_until_ended(self, owner: str, job_id: str, run: _Run) -> EndReason:
        while True:
            batches = self._backstay.for_owner(owner, run.allowed).batches
            result = await batches.resume(job_id, limit=run.limit, stop=run.stop, grace_seconds=self._grace_seconds)
            counts = result.counts
            _log.info(
                "job_run_ended", job=job_id, ending=result.ending, completed=counts.completed, failed=counts.failed
            )
            if result.ending in (EndReason.CANCELLED, EndReason.STOPPED) or not run.is_requested_again:
                return result.ending
            run.is_requested_again = False

    async def _poll(self) -> None:
        while True:
            try:
                for owner in await self._backstay.owners():
                    for job in await self._backstay.for_owner(owner).batches.incomplete():
                        if job.state is JobState.INTERRUPTED:
                            await self._resume_job(owner, job.id)
            except BackstayError as error:
                _log.warning("interrupted_jobs_poll_failed", code=error.code, error=error.message)
            except Exception as error:
                _log.exception("interrupted_jobs_poll_crashed", error=type(error).__name__)
            await asyncio.sleep(_POLL_SECONDS)

    async def _resume_job(self, owner: str, job_id: str) -> None:
        try:
            await self.start(owner, job_id)
        except (BackstayError, Problem) as error:
            _log.info("interrupted_job_not_resumed", job=job_id, code=error.code)
        except Exception as error:  # concerns this job only, so the others are still resumed
            _log.exception("interrupted_job_resume_crashed", job=job_id, error=type(error).__name__)
