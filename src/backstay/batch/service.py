"""The service for batch jobs: create, run, resume, inspect, change and discard them."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

from backstay.batch import liveness
from backstay.batch.creation import CreateResult, JobCreator, JobRequest, drop, drop_leftovers
from backstay.batch.intake import Chunks, ColumnMapping, Items, read_items
from backstay.batch.item import FailedItem, FailureEvent, ItemSummary, to_item
from backstay.batch.job import (
    FINISHED,
    Job,
    JobAction,
    JobSettings,
    JobState,
    Pause,
    RunLimits,
    check_action,
    items_needed_error,
)
from backstay.batch.lease import LEASE_SECONDS, LeaseMonitor
from backstay.batch.processor import CALLER, CallableProcessor, Processor, ProcessorSource, RateLimitable
from backstay.batch.progress_reporter import Listener, ProgressReporter
from backstay.batch.recipe import JobRecipe
from backstay.batch.result import BatchResult
from backstay.batch.run import LeasedRun
from backstay.batch.stop import StopSignal
from backstay.batch.store import BatchStores
from backstay.batch.worker import EndReason, WorkerOptions
from backstay.errors import (
    JobHasWorkers,
    JobNameNeeded,
    NothingToRun,
    ProcessorNotPortable,
    SettingsError,
    Stopped,
)
from backstay.library.id_text import check_id, quoted_id
from backstay.logs import get_logger
from backstay.readers.input_ceiling import InputCeiling

_log = get_logger("backstay.batch")

CONCURRENCY = 16
"""Default maximum of calls in flight per run."""

_PAGE = 500


class Batches:
    """The batch jobs of one owner."""

    def __init__(
        self,
        *,
        stores: BatchStores,
        owner: str,
        source: ProcessorSource,
        folder: Path,
        lease_seconds: float = LEASE_SECONDS,
        concurrency: int = CONCURRENCY,
    ) -> None:
        self._stores = stores
        self._owner = owner
        self._source = source
        self._folder = folder
        self._lease_seconds = lease_seconds
        self._concurrency = concurrency

    async def run(
        self,
        job_id: str,
        items: Items,
        process: Processor | JobRecipe | str,
        *,
        concurrency: int | None = None,
        rpm: int | None = None,
        tpm: int | None = None,
        max_attempts: int = 3,
        timeout: float = 600.0,  # noqa: ASYNC109 - the deadline of each item, not of this call
        limit: int | None = None,
        columns: ColumnMapping | None = None,
        accept_new_items: bool = False,
        on_progress: Listener | None = None,
        stop: StopSignal | None = None,
        stdin: BinaryIO | None = None,
        grace_seconds: float = 10.0,
        retry_on: tuple[type[Exception], ...] = (),
    ) -> BatchResult:
        """Process every item exactly once, however often this is called and interrupted.

        Args:
            job_id: Name of the job. A call with the same name continues the same job.
            items: Items or dictionaries as an iterable (sync or async), or the path of a file.
            process: A callable taking `(item)` or `(item, work)`, sync or async; its name, such as `scripted` or
                `module:function`; or a recipe. With a name or a recipe, any program can resume the job.
            concurrency: Maximum calls in flight. Default: the job's last value, else 16.
            rpm: Maximum requests per minute, for a recipe. Default: the job's last value. 0 removes the limit. The
                limits of the provider account apply as well.
            tpm: Maximum tokens per minute, for a recipe. Default: the job's last value. 0 removes the limit.
            max_attempts: Maximum tries of an item with transient failures.
            timeout: Time limit of one try, in seconds.
            limit: Maximum number of items that this run claims.
            columns: The columns of the input that hold id, topic and persona.
            accept_new_items: Add items that the existing job lacks, instead of raising ItemsDiffer.
            on_progress: Called with the progress, at most ten times a second and once at the end.
            stop: A signal by which the caller can request a graceful stop.
            stdin: The stream that `items="-"` reads. Default: the standard input of the process.
            grace_seconds: How long calls in flight may continue after a stop.
            retry_on: Exception classes after which an item is tried again, for a callable.

        Raises:
            InputError: an item is unusable. No call was made and no job created.
            JobDiffers, ItemsDiffer: the job exists with another processor, recipe or items.
            ProcessorUnusable: the processor cannot be found or called.
            RecipeError: an item lacks a value that the recipe uses. No call was made and no job created.
            Stopped: a stop was requested before all items were read. No job was created.
            StorageError: the database failed; the job stays resumable.
        """
        limits = RunLimits(concurrency, rpm, tpm)
        _check_run(limits, max_attempts, timeout, limit)
        check_id(job_id, "the job's name", job_id=job_id)
        recipe = process if isinstance(process, JobRecipe) else None
        callee = await self._callee(process, retry_on)
        _check_bounds(limits, callee)
        settings = JobSettings(max_attempts, timeout, RunLimits().updated(limits))
        request = JobRequest(job_id, _processor_name(process), settings, accept_new_items, recipe)
        started, stop = time.monotonic(), stop or StopSignal()
        chunks = _checked(recipe, items, read_items(items, columns or ColumnMapping(), stdin=stdin))
        created = await self._create(request, _until_stopped(stop, chunks))
        if not created.is_new:
            await self._set_limits(job_id, limits)
        result = await self._run(job_id, callee, limit, grace_seconds, on_progress, stop, created)
        return replace(result, seconds=time.monotonic() - started)

    async def create(
        self,
        job_id: str,
        items: Items,
        processor: JobRecipe | str,
        *,
        concurrency: int | None = None,
        rpm: int | None = None,
        tpm: int | None = None,
        max_attempts: int = 3,
        timeout: float = 600.0,  # noqa: ASYNC109 - the deadline of each item, not of this call
        columns: ColumnMapping | None = None,
        stdin: BinaryIO | None = None,
        ceiling: InputCeiling | None = None,
    ) -> Job:
        """Create a job without running it; `resume` or another process runs it. Raises like `run`.

        Args:
            ceiling: Maximum items and characters of a file. The other arguments are those of `run`.
        """
        limits = RunLimits(concurrency, rpm, tpm)
        _check_run(limits, max_attempts, timeout, None)
        check_id(job_id, "the job's name", job_id=job_id)
        recipe = processor if isinstance(processor, JobRecipe) else None
        _check_bounds(limits, await self._callee(processor))
        settings = JobSettings(max_attempts, timeout, RunLimits().updated(limits))
        request = JobRequest(job_id, _processor_name(processor), settings, recipe=recipe)
        chunks = read_items(items, columns or ColumnMapping(), stdin=stdin, ceiling=ceiling)
        if not (await self._create(request, _checked(recipe, items, chunks))).is_new:
            await self._set_limits(job_id, limits)
        return await self.checkpoint(job_id)

    async def resume(
        self,
        job_id: str | None = None,
        process: Processor | None = None,
        *,
        concurrency: int | None = None,
        rpm: int | None = None,
        tpm: int | None = None,
        limit: int | None = None,
        retry_failed: bool = False,
        accept_new_items: Items | None = None,
        base_url: str | None = None,
        columns: ColumnMapping | None = None,
        on_progress: Listener | None = None,
        stop: StopSignal | None = None,
        stdin: BinaryIO | None = None,
        grace_seconds: float = 10.0,
        retry_on: tuple[type[Exception], ...] = (),
    ) -> BatchResult:
        """Resume a job that was interrupted, paused, or created but never run.

        Without `job_id` there must be exactly one unfinished job. `process` is needed if the job was created with a
        program's own callable. The other arguments are like those of `run`.

        Args:
            base_url: Base URL of the recipe's model in this run, which overrides the recipe and the environment. It is
                not stored with the job.

        Raises:
            NothingToRun, JobNameNeeded: no job is unfinished, or several are.
            JobNotFound: no job has this name.
            SettingsError: a base URL is passed, but the job has no recipe.
            RecipeError: the base URL is not valid.
            ProcessorNotPortable: only the program that created the job can resume it.
            ItemsNeeded: it was imported; `run` it with all its items.
            InvalidTransition: the job was cancelled.
        """
        limits = RunLimits(concurrency, rpm, tpm)
        _check_run(limits, 1, 1.0, limit)
        job = await self.checkpoint(job_id) if job_id is not None else await self._only_incomplete()
        callee = await self._callee_for(job, process, retry_on, base_url)
        _check_bounds(limits, callee)
        created, stop = None, stop or StopSignal()
        if accept_new_items is not None:
            request = JobRequest(job.id, job.processor, job.settings, accept_new_items=True)
            recipe = self._source.recipe(job.recipe) if job.recipe is not None else None
            added = _checked(
                recipe, accept_new_items, read_items(accept_new_items, columns or ColumnMapping(), stdin=stdin)
            )
            created = await self._create(request, _until_stopped(stop, added))
        if retry_failed:
            await self._stores.jobs.retry(self._owner, job.id, None)
        await self._set_limits(job.id, limits)
        return await self._run(job.id, callee, limit, grace_seconds, on_progress, stop, created)

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

    async def prepare_resume(self, job_id: str, limits: RunLimits | None = None) -> Job:
        """Check that this program can resume a job, store the `limits` of its runs, and return the job.

        Raises:
            SettingsError: it has no recipe, so its requests cannot be limited.
            JobNotFound: no job has this name.
            InvalidTransition: it was cancelled.
            ProcessorNotPortable: only the program that created the job can resume it.
            ItemsNeeded: it was imported, and still lacks its items.
            ProcessorUnusable, ProcessorNotAllowed, RecipeError, ApiKeyMissing: its processor or recipe cannot be used.
        """
        job = await self.checkpoint(job_id)
        if job.state is JobState.CANCELLED:
            check_action(job_id, job.state, JobAction.WORK)
        if job.state not in FINISHED:
            callee = await self._callee_for(job, None)
            if limits is not None and limits.to_dict():
                _check_bounds(limits, callee)
                await self._set_limits(job_id, limits)
                return await self.checkpoint(job_id)
        return job

    async def failed(self, job_id: str) -> AsyncIterator[FailedItem]:
        """Yield the failed items of a job, each with the attempt that settled it. Raises JobNotFound."""
        after = -1
        while page := await self._stores.jobs.failures(self._owner, job_id, after=after, limit=_PAGE):
            for failure in page:
                yield failure
            after = page[-1].position

    async def items_page(self, job_id: str, *, after: int = -1, limit: int = 100) -> Sequence[ItemSummary]:
        """Return items in order of position, from behind `after` on. Raises JobNotFound."""
        return await self._stores.jobs.items(self._owner, job_id, after=after, limit=limit)

    async def failed_page(self, job_id: str, *, after: int = -1, limit: int = 100) -> Sequence[FailedItem]:
        """Return failed items in order of position, from behind `after` on. Raises JobNotFound."""
        return await self._stores.jobs.failures(self._owner, job_id, after=after, limit=limit)

    async def failure_codes(self, job_id: str) -> Mapping[str, bool]:
        """Return the codes of failed items, each with whether a raw answer is stored for one. Raises JobNotFound."""
        return await self._stores.jobs.failure_codes(self._owner, job_id)

    async def evidence(self, job_id: str) -> Sequence[FailedItem]:
        """Return the attempts that led a job to pause itself, newest first. Raises JobNotFound."""
        return await self._stores.jobs.pause_evidence(self._owner, job_id)

    async def last_failure(self, job_id: str) -> int:
        """Return the sequence number of the latest failure of a job, or 0 if there was none. Raises JobNotFound."""
        return await self._stores.jobs.last_failure(self._owner, job_id)

    async def failures_since(self, job_id: str, after: int, *, limit: int = 100) -> Sequence[FailureEvent]:
        """Return failures with a sequence number above `after`, in order; none is ever missed."""
        return await self._stores.jobs.failures_since(self._owner, job_id, after=after, limit=limit)

    async def retry(self, job_id: str, item_ids: Sequence[str] | None = None) -> int:
        """Return failed items (all, or those named) to pending, for `resume` to process; return how many.

        Raises:
            JobNotFound, ItemNotFound: the job or an item does not exist.
            ItemsNeeded: the job was imported, and still lacks its items.
            InvalidTransition: the job was cancelled, or a named item has not failed.
        """
        named = (
            [item_ids] if isinstance(item_ids, str) else item_ids
        )  # otherwise a single id would be read as one id per letter
        return await self._stores.jobs.retry(self._owner, job_id, named)

    async def skip(self, job_id: str, item_ids: Sequence[str]) -> int:
        """Skip the named pending or failed items of a job, either all of them or none; return how many.

        Raises:
            JobNotFound, ItemNotFound: the job or an item does not exist.
            ItemsNeeded: the job was imported, and still lacks its items.
            InvalidTransition: the job was cancelled, or a named item is running, completed or skipped.
        """
        named = [item_ids] if isinstance(item_ids, str) else item_ids  # as in `retry`
        return await self._stores.jobs.skip(self._owner, job_id, named)

    async def pause(self, job_id: str) -> Job:
        """Stop all workers of a job gracefully, in any process. Raises JobNotFound, InvalidTransition."""
        pause = Pause("by_user", "paused by the user")
        return await self._with_live_state(
            await self._stores.jobs.apply_action(self._owner, job_id, JobAction.PAUSE, pause)
        )

    async def cancel(self, job_id: str) -> Job:
        """Stop a job permanently; its conversations stay. Raises JobNotFound, InvalidTransition."""
        return await self._with_live_state(await self._stores.jobs.apply_action(self._owner, job_id, JobAction.CANCEL))

    async def discard(self, job_id: str) -> None:
        """Remove a job's checkpoint and free its name; its conversations stay.

        Raises:
            JobNotFound: the job does not exist.
            JobHasWorkers: a worker is running it; pause or cancel it first. If the worker is on another host, this
                waits for slightly more than a lease to see whether it lives.
        """
        await self._check_no_workers(job_id)
        await drop(self._stores, self._owner, await self._stores.jobs.discard(self._owner, job_id))

    # -- private -----------------------------------------------------------------------------------------------------

    async def _create(self, request: JobRequest, chunks: Chunks) -> CreateResult:
        lock = await asyncio.to_thread(liveness.LivenessLock.open, self._folder)
        creator = JobCreator(stores=self._stores, owner=self._owner, identity=lock.identity)
        try:
            return await creator.create(request, chunks)
        finally:
            # If staged rows are left behind, the file stays: unlocked, it proves that their creator is dead.
            lock.close(remove=creator.is_cleaned_up)

    async def _set_limits(self, job_id: str, limits: RunLimits) -> None:
        if limits.to_dict():
            await self._stores.jobs.set_limits(self._owner, job_id, limits)

    async def _run(
        self,
        job_id: str,
        callee: CallableProcessor,
        limit: int | None,
        grace_seconds: float,
        on_progress: Listener | None,
        stop: StopSignal,
        created: CreateResult | None,
    ) -> BatchResult:
        started = time.monotonic()
        await self._remove_leftovers()
        job = await self.checkpoint(job_id)
        end_reason = EndReason.FINISHED
        did_nothing = job.state in FINISHED
        if not did_nothing:
            limits = job.settings.limits
            if isinstance(callee.function, RateLimitable):
                callee.function.bound_rate(rpm=limits.rpm, tpm=limits.tpm)
            concurrency = limits.concurrency or self._concurrency
            reporter = ProgressReporter(job_id=job_id, listener=on_progress)
            run = LeasedRun(
                store=self._stores.work,
                owner=self._owner,
                job=job,
                callee=callee,
                options=WorkerOptions(concurrency, limit, grace_seconds, self._lease_seconds),
                monitor=self._monitor(job_id),
                stop=stop,
                folder=self._folder,
                reporter=reporter,
            )
            end_reason = await run.run_until_ended()
            job = await self.checkpoint(job_id)
            await reporter.report(job.counts, job.tokens, last=True)
        if job.state is JobState.COMPLETED and not job.cleaned:
            await self._clean(job_id)
        return BatchResult(
            job_id=job_id,
            state=job.state,
            counts=job.counts,
            tokens=job.tokens,
            ending=end_reason,
            pause=job.pause,
            created=created,
            did_nothing=did_nothing,
            seconds=time.monotonic() - started,
        )

    async def _clean(self, job_id: str) -> None:
        while await self._stores.jobs.clean_step(self._owner, job_id):
            pass
        _log.info("checkpoint_cleaned", job=job_id)

    async def _check_no_workers(self, job_id: str) -> None:
        monitor = self._monitor(job_id)
        deadline = time.monotonic() + 1.2 * self._lease_seconds
        while await monitor.poll():
            rows = await self._stores.work.workers(self._owner, job_id)
            if (
                any(liveness.liveness_of(row.identity) is liveness.Liveness.ALIVE for row in rows)
                or time.monotonic() > deadline
            ):
                raise JobHasWorkers(
                    f"A worker is running job {quoted_id(job_id)}, so it cannot be discarded", job_id=job_id
                )
            await asyncio.sleep(self._lease_seconds / 20)

    async def _remove_leftovers(self) -> None:
        """Remove the leftovers of interrupted creations, discards, leases and cleanings."""
        await drop_leftovers(self._stores, self._owner)
        for job_id in await self._stores.jobs.finished_jobs_with_leases(self._owner):
            await self._monitor(job_id).poll()
        for job_id in await self._stores.jobs.jobs_to_clean(self._owner):
            await self._clean(job_id)

    async def _with_live_state(self, job: Job) -> Job:
        """Return the job as interrupted if it is stored as running but has no worker that may be alive."""
        if job.state is not JobState.RUNNING:
            return job
        for row in await self._stores.work.workers(self._owner, job.id):
            if not liveness.is_proven_dead(row.identity):
                return job
        return replace(job, state=JobState.INTERRUPTED, provider_wait=None)

    async def _only_incomplete(self) -> Job:
        jobs = await self.incomplete(limit=6)
        if not jobs:
            raise NothingToRun("No job is unfinished")
        if len(jobs) > 1:
            names = ", ".join(job.id for job in jobs[:5]) + (" and more" if len(jobs) > 5 else "")
            raise JobNameNeeded(f"Several jobs are unfinished; name one of: {names}", jobs=[job.id for job in jobs])
        return jobs[0]

    async def _callee_for(
        self,
        job: Job,
        process: Processor | None,
        retry_on: tuple[type[Exception], ...] = (),
        base_url: str | None = None,
    ) -> CallableProcessor:
        if job.lacks_items:
            raise items_needed_error(job.id)
        if base_url is not None and (process is not None or job.recipe is None):
            raise SettingsError(
                f"This run of job {quoted_id(job.id)} uses no recipe, so a base URL has no effect; leave it out",
                setting="base_url",
            )
        if process is not None:
            return CallableProcessor.from_processor(process, retry_on=retry_on)
        if retry_on and job.processor != CALLER:
            raise _retry_on_refused(job.processor)
        if job.processor == CALLER:
            raise ProcessorNotPortable(
                f"Job {quoted_id(job.id)} was started with a function of a program; run that program again to "
                "resume it",
                job_id=job.id,
            )
        if job.recipe is not None:
            return CallableProcessor.from_processor(
                await self._source.writer(self._source.recipe(job.recipe, base_url=base_url))
            )
        return CallableProcessor.from_processor(self._source.resolve(job.processor))

    async def _callee(
        self, process: Processor | JobRecipe | str, retry_on: tuple[type[Exception], ...] = ()
    ) -> CallableProcessor:
        if retry_on and isinstance(process, str | JobRecipe):
            raise _retry_on_refused(_processor_name(process))
        if isinstance(process, JobRecipe):
            return CallableProcessor.from_processor(await self._source.writer(process))
        if isinstance(process, str):
            return CallableProcessor.from_processor(self._source.resolve(process))
        return CallableProcessor.from_processor(process, retry_on=retry_on)

    def _monitor(self, job_id: str) -> LeaseMonitor:
        return LeaseMonitor(
            store=self._stores.work, owner=self._owner, job_id=job_id, lease_seconds=self._lease_seconds
        )


def _processor_name(process: Processor | JobRecipe | str) -> str:
    if isinstance(process, JobRecipe):
        return process.model
    return process if isinstance(process, str) else CALLER


def _retry_on_refused(processor: str) -> SettingsError:
    return SettingsError(
        f"retry_on works only with a function of this program: {processor!r} is resolved by name, also by programs "
        "that do not set retry_on; let the processor return Retry instead",
        setting="retry_on",
    )


async def _checked(recipe: JobRecipe | None, items: Items, chunks: Chunks) -> Chunks:
    """Yield the chunks, with each item checked against the recipe before any call is made."""
    where = "item"
    if isinstance(items, str | Path):
        where = "standard input line" if str(items) == "-" else f"{items} line"
    async for chunk in chunks:
        if recipe is not None:
            for item in chunk:
                recipe.check(to_item(item), f"{where} {item.line}")
        yield chunk


async def _until_stopped(stop: StopSignal, chunks: Chunks) -> Chunks:
    async for chunk in chunks:
        if stop.requested:
            raise Stopped("Stopped while the items were being read; no call was made. Run the same command again")
        yield chunk


_MAXIMUMS = {"concurrency": 10_000, "rpm": 10_000_000, "tpm": 10_000_000_000}


def _check_bounds(limits: RunLimits, callee: CallableProcessor) -> None:
    rates = [name for name in ("rpm", "tpm") if getattr(limits, name) is not None]
    if rates and not isinstance(callee.function, RateLimitable):
        raise SettingsError(
            f"{rates[0]} limits the requests of a recipe, and this job has no recipe; leave it out", setting=rates[0]
        )


def _check_run(limits: RunLimits, max_attempts: int, timeout_seconds: float, limit: int | None) -> None:
    checks: tuple[tuple[str, Any, type[int | float], float, float], ...] = (
        *((name, value, int, int(name == "concurrency"), _MAXIMUMS[name]) for name, value in limits.to_dict().items()),
        ("max_attempts", max_attempts, int, 1, 1_000),
        ("timeout", timeout_seconds, float, 0.001, 604_800),
        ("limit", 1 if limit is None else limit, int, 1, 10**12),
    )
    for name, value, kind, minimum, maximum in checks:
        if isinstance(value, bool) or not isinstance(value, (int, kind)):
            expected = "a whole number" if kind is int else "a number of seconds"
            raise SettingsError(f"{name} must be {expected}, not {value!r}", setting=name)
        if not minimum <= float(value) <= maximum:
            raise SettingsError(f"{name} must be from {minimum:,} to {maximum:,}, not {value:,}", setting=name)
