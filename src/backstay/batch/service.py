"""Everything one can do with batch jobs."""

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
from backstay.batch.progress import Listener, ProgressReporter
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
from backstay.library.id_text import check_id, quoted_id, typed_id
from backstay.logs import get_logger
from backstay.readers.ceiling import InputCeiling

_log = get_logger("backstay.batch")

CONCURRENCY = 16
"""Default number of calls in flight of a run."""

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
            job_id: Name of the job; the same name again goes on with the same job.
            items: Items, dictionaries, an iterator of either (async too), or the path of a file.
            process: A callable taking `(item)` or `(item, work)`, sync or async; or its name, as `scripted` or
                `module:function`, or a recipe: both let any program resume the job.
            concurrency: Calls in flight at most; by default the job's last value, else 16.
            rpm: Requests a minute at most, of a recipe; by default the job's last value. The limits of the provider
                account apply as well.
            tpm: Tokens a minute at most, of a recipe; by default the job's last value. 0 lifts the limit, as of `rpm`.
            max_attempts: Tries of an item that fails in a way that may pass.
            timeout: Seconds that one try may take.
            limit: Items that this run claims at most.
            columns: Which columns of the input are id, topic and persona.
            accept_new_items: Add items that the existing job lacks, instead of refusing.
            on_progress: Called, at most ten times a second and once at the end, with the progress.
            stop: Lets the caller ask for a graceful stop.
            stdin: What `items="-"` reads; by default the standard input of the process.
            grace_seconds: How long calls in flight may go on after a stop.
            retry_on: Exception classes after which an item is tried again, for a callable of this program.

        Raises:
            InputError: an item is unusable; nothing was called and no job was made.
            JobDiffers, ItemsDiffer: the job exists with another processor, recipe or items.
            ProcessorUnusable: the processor cannot be found or called.
            RecipeError: an item lacks what the recipe uses; nothing was called and no job was made.
            Stopped: a stop was asked for before all items were in; no job was made.
            StorageError: the database could not go on; the job stays resumable.
        """
        limits = RunLimits(concurrency, rpm, tpm)
        _check_run(limits, max_attempts, timeout, limit)
        check_id(job_id, "the job's name", job_id=job_id)
        recipe = process if isinstance(process, JobRecipe) else None
        callee = await self._callee(process, retry_on)
        _check_bounds(limits, callee)
        settings = JobSettings(max_attempts, timeout, RunLimits().updated(limits))
        wanted = JobRequest(job_id, _name_of(process), settings, accept_new_items, recipe)
        started, stop = time.monotonic(), stop or StopSignal()
        given = _checked(recipe, items, read_items(items, columns or ColumnMapping(), stdin=stdin))
        created = await self._create(wanted, _until(stop, given))
        if not created.is_new:
            await self._set_limits(job_id, limits)
        result = await self._work(job_id, callee, limit, grace_seconds, on_progress, stop, created)
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
        """Create a job without working on it; `resume` or another process does. Raises like `run`.

        Args:
            ceiling: The most items and characters that a file may contain. The others are those of `run`.
        """
        limits = RunLimits(concurrency, rpm, tpm)
        _check_run(limits, max_attempts, timeout, None)
        check_id(job_id, "the job's name", job_id=job_id)
        recipe = processor if isinstance(processor, JobRecipe) else None
        _check_bounds(limits, await self._callee(processor))
        settings = JobSettings(max_attempts, timeout, RunLimits().updated(limits))
        wanted = JobRequest(job_id, _name_of(processor), settings, recipe=recipe)
        given = read_items(items, columns or ColumnMapping(), stdin=stdin, ceiling=ceiling)
        if not (await self._create(wanted, _checked(recipe, items, given))).is_new:
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
        """Go on with a job that was interrupted, paused, or created but never run.

        Without `job_id` there must be exactly one unfinished job. `process` is needed when the job was made by a
        program's own callable. Other arguments as of `run`.

        Args:
            base_url: Where the recipe's model is asked in this run, whatever the recipe and the environment say; it is
                not kept with the job.

        Raises:
            NothingToRun, JobNameNeeded: no job is unfinished, or several are.
            JobNotFound: there is no job of this name.
            SettingsError: a base URL is given, and no recipe is followed.
            RecipeError: the base URL is not valid.
            ProcessorNotPortable: only the program that made the job can go on with it.
            ItemsNeeded: it was taken over; `run` it with all its items.
            InvalidTransition: the job was cancelled.
        """
        limits = RunLimits(concurrency, rpm, tpm)
        _check_run(limits, 1, 1.0, limit)
        job = await self.checkpoint(job_id) if job_id is not None else await self._only_incomplete()
        callee = await self._callee_of(job, process, retry_on, base_url)
        _check_bounds(limits, callee)
        created, stop = None, stop or StopSignal()
        if accept_new_items is not None:
            wanted = JobRequest(job.id, job.processor, job.settings, accept_new_items=True)
            recipe = self._source.recipe(job.recipe) if job.recipe is not None else None
            added = _checked(
                recipe, accept_new_items, read_items(accept_new_items, columns or ColumnMapping(), stdin=stdin)
            )
            created = await self._create(wanted, _until(stop, added))
        if retry_failed:
            await self._stores.jobs.retry(self._owner, job.id, None)
        await self._set_limits(job.id, limits)
        return await self._work(job.id, callee, limit, grace_seconds, on_progress, stop, created)

    async def checkpoint(self, job_id: str) -> Job:
        """Return where a job stands. Raises JobNotFound."""
        return await self._with_live_state(await self._stores.jobs.job(self._owner, job_id))

    async def list(self, *, before: int | None = None, limit: int = 100) -> Sequence[Job]:
        """Return jobs, the latest first; `before` is the `key` of the last one already seen."""
        jobs = await self._stores.jobs.jobs(self._owner, incomplete=False, before=before, limit=limit)
        return [await self._with_live_state(job) for job in jobs]

    async def incomplete(self, *, before: int | None = None, limit: int = 100) -> Sequence[Job]:
        """Return jobs with work left: pending, running, interrupted or paused; the latest first, as of `list`."""
        jobs = await self._stores.jobs.jobs(self._owner, incomplete=True, before=before, limit=limit)
        return [await self._with_live_state(job) for job in jobs]

    async def prepare_resume(self, job_id: str, limits: RunLimits | None = None) -> Job:
        """Return a job that this program can resume, after storing the given limits of its runs.

        Raises:
            SettingsError: it follows no recipe, so its requests cannot be limited.
            JobNotFound: there is no job of this name.
            InvalidTransition: it was cancelled.
            ProcessorNotPortable: only the program that made the job can go on with it.
            ItemsNeeded: it was taken over, and is still without its items.
            ProcessorUnusable, ProcessorNotAllowed, RecipeError, ApiKeyMissing: what makes its conversations is out of
                reach.
        """
        job = await self.checkpoint(job_id)
        if job.state is JobState.CANCELLED:
            check_action(job_id, job.state, JobAction.WORK)
        if job.state not in FINISHED:
            callee = await self._callee_of(job, None)
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
        """Return items in the order of their positions, of those after the given one. Raises JobNotFound."""
        return await self._stores.jobs.items(self._owner, job_id, after=after, limit=limit)

    async def failed_page(self, job_id: str, *, after: int = -1, limit: int = 100) -> Sequence[FailedItem]:
        """Return failed items in the order of their positions, of those after the given one. Raises JobNotFound."""
        return await self._stores.jobs.failures(self._owner, job_id, after=after, limit=limit)

    async def failure_codes(self, job_id: str) -> Mapping[str, bool]:
        """Return the codes of failed items, each with whether an answer was kept of one. Raises JobNotFound."""
        return await self._stores.jobs.failure_codes(self._owner, job_id)

    async def evidence(self, job_id: str) -> Sequence[FailedItem]:
        """Return the attempts whose answers led a job to pause by itself, the newest first. Raises JobNotFound."""
        return await self._stores.jobs.pause_evidence(self._owner, job_id)

    async def last_failure(self, job_id: str) -> int:
        """Return the number of the latest failing in a job, 0 when there was none. Raises JobNotFound."""
        return await self._stores.jobs.last_failure(self._owner, job_id)

    async def failures_since(self, job_id: str, after: int, *, limit: int = 100) -> Sequence[FailureEvent]:
        """Return what failed after a failing that was seen; who asks on from the last one misses none."""
        return await self._stores.jobs.failures_since(self._owner, job_id, after=after, limit=limit)

    async def retry(self, job_id: str, item_ids: Sequence[str] | None = None) -> int:
        """Put failed items, all or those named, back to pending; return how many. `resume` then works on them.

        Raises:
            JobNotFound, ItemNotFound: there is no such job or item.
            ItemsNeeded: the job was taken over, and is still without its items.
            InvalidTransition: the job was cancelled, or a named item has not failed.
        """
        named = [item_ids] if isinstance(item_ids, str) else item_ids  # else one name would be taken letter by letter
        return await self._stores.jobs.retry(self._owner, job_id, named)

    async def skip(self, job_id: str, item_ids: Sequence[str]) -> int:
        """Skip the named pending or failed items of a job, all of them or none; return how many.

        Raises:
            JobNotFound, ItemNotFound: the job or an item does not exist.
            ItemsNeeded: the job was taken over, and is still without its items.
            InvalidTransition: the job was cancelled, or a named item is running, completed or skipped.
        """
        named = [item_ids] if isinstance(item_ids, str) else item_ids  # as for `retry`
        return await self._stores.jobs.skip(self._owner, job_id, named)

    async def pause(self, job_id: str) -> Job:
        """Have every worker of a job stop gracefully, wherever it runs. Raises JobNotFound, InvalidTransition."""
        pause = Pause("by_user", "paused by the user")
        return await self._with_live_state(
            await self._stores.jobs.apply_action(self._owner, job_id, JobAction.PAUSE, pause)
        )

    async def cancel(self, job_id: str) -> Job:
        """Stop a job for good; what it made stays. Raises JobNotFound, InvalidTransition."""
        return await self._with_live_state(await self._stores.jobs.apply_action(self._owner, job_id, JobAction.CANCEL))

    async def discard(self, job_id: str) -> None:
        """Remove a job's checkpoint and free its name; its conversations stay.

        Raises:
            JobNotFound: there is no such job.
            JobHasWorkers: a worker is on it; pause or cancel it first. One on another host is given as long as a lease
                to show that it lives.
        """
        await self._refuse_while_worked(job_id)
        await drop(self._stores, self._owner, await self._stores.jobs.discard(self._owner, job_id))

    # -- within ------------------------------------------------------------------------------------------------------

    async def _create(self, wanted: JobRequest, chunks: Chunks) -> CreateResult:
        life = await asyncio.to_thread(liveness.LivenessLock.open, self._folder)
        creation = JobCreator(stores=self._stores, owner=self._owner, identity=life.identity)
        try:
            return await creation.create(wanted, chunks)
        finally:
            # When something is left behind, the file stays and, unlocked, proves that nobody needs it any more.
            life.close(remove=creation.is_cleaned_up)

    async def _set_limits(self, job_id: str, limits: RunLimits) -> None:
        if limits.to_dict():
            await self._stores.jobs.set_limits(self._owner, job_id, limits)

    async def _work(
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
        ending = EndReason.FINISHED
        did_nothing = job.state in FINISHED
        if not did_nothing:
            limits = job.settings.limits
            if isinstance(callee.function, RateLimitable):
                callee.function.bound_rate(rpm=limits.rpm, tpm=limits.tpm)
            concurrency = limits.concurrency or self._concurrency
            teller = ProgressReporter(job_id=job_id, listener=on_progress)
            run = LeasedRun(
                store=self._stores.work,
                owner=self._owner,
                job=job,
                callee=callee,
                options=WorkerOptions(concurrency, limit, grace_seconds, self._lease_seconds),
                monitor=self._watch(job_id),
                stop=stop,
                folder=self._folder,
                reporter=teller,
            )
            ending = await run.run_until_ended()
            job = await self.checkpoint(job_id)
            await teller.report(job.counts, job.tokens, last=True)
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

    async def _clean(self, job_id: str) -> None:
        while await self._stores.jobs.clean_step(self._owner, job_id):
            pass
        _log.info("checkpoint_cleaned", job=job_id)

    async def _refuse_while_worked(self, job_id: str) -> None:
        watch = self._watch(job_id)
        patience = time.monotonic() + 1.2 * self._lease_seconds
        while await watch.poll():
            rows = await self._stores.work.workers(self._owner, job_id)
            if (
                any(liveness.liveness_of(row.identity) is liveness.Liveness.ALIVE for row in rows)
                or time.monotonic() > patience
            ):
                raise JobHasWorkers(
                    f"A worker is on job {quoted_id(job_id)}; stop it first, for instance with "
                    f"`backstay cancel {typed_id(job_id)}`",
                    job_id=job_id,
                )
            await asyncio.sleep(self._lease_seconds / 20)

    async def _remove_leftovers(self) -> None:
        """Finish what creations, discards, leases and cleanings that were cut off have left."""
        await drop_leftovers(self._stores, self._owner)
        for job_id in await self._stores.jobs.finished_jobs_with_leases(self._owner):
            await self._watch(job_id).poll()
        for job_id in await self._stores.jobs.jobs_to_clean(self._owner):
            await self._clean(job_id)

    async def _with_live_state(self, job: Job) -> Job:
        """Show a job that is stored as running, but has no worker that may be alive, as interrupted."""
        if job.state is not JobState.RUNNING:
            return job
        for row in await self._stores.work.workers(self._owner, job.id):
            if not liveness.is_proven_dead(row.identity):
                return job
        return replace(job, state=JobState.INTERRUPTED, provider_wait=None)

    async def _only_incomplete(self) -> Job:
        jobs = await self.incomplete(limit=6)
        if not jobs:
            raise NothingToRun("No job is unfinished; `backstay jobs` lists all there are")
        if len(jobs) > 1:
            names = ", ".join(job.id for job in jobs[:5]) + (" and more" if len(jobs) > 5 else "")
            raise JobNameNeeded(f"Several jobs are unfinished, say which one: {names}", jobs=[job.id for job in jobs])
        return jobs[0]

    async def _callee_of(
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
                f"This run of job {quoted_id(job.id)} follows no recipe, so there is no model to ask at another "
                "address; leave the base URL out",
                setting="base_url",
            )
        if process is not None:
            return CallableProcessor.from_processor(process, retry_on=retry_on)
        if retry_on and job.processor != CALLER:
            raise _retry_on_refused(job.processor)
        if job.processor == CALLER:
            raise ProcessorNotPortable(
                f"Job {quoted_id(job.id)} was started with a function of a program; run that program again to "
                "go on with it",
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
            raise _retry_on_refused(_name_of(process))
        if isinstance(process, JobRecipe):
            return CallableProcessor.from_processor(await self._source.writer(process))
        if isinstance(process, str):
            return CallableProcessor.from_processor(self._source.resolve(process))
        return CallableProcessor.from_processor(process, retry_on=retry_on)

    def _watch(self, job_id: str) -> LeaseMonitor:
        return LeaseMonitor(
            store=self._stores.work, owner=self._owner, job_id=job_id, lease_seconds=self._lease_seconds
        )


def _name_of(process: Processor | JobRecipe | str) -> str:
    if isinstance(process, JobRecipe):
        return process.model
    return process if isinstance(process, str) else CALLER


def _retry_on_refused(processor: str) -> SettingsError:
    return SettingsError(
        f"retry_on works only with a function of this program: {processor!r} is found by its name, also by programs "
        "that do not know retry_on; have the processor return Retry instead",
        setting="retry_on",
    )


async def _checked(recipe: JobRecipe | None, items: Items, chunks: Chunks) -> Chunks:
    """Hand the chunks on, each item checked against the recipe: what it lacks is found before the first call."""
    where = "item"
    if isinstance(items, str | Path):
        where = "standard input line" if str(items) == "-" else f"{items} line"
    async for chunk in chunks:
        if recipe is not None:
            for draft in chunk:
                recipe.check(to_item(draft), f"{where} {draft.line}")
        yield chunk


async def _until(stop: StopSignal, chunks: Chunks) -> Chunks:
    async for chunk in chunks:
        if stop.requested:
            raise Stopped("Stopped while the items were being read; nothing was called. Run the same command again")
        yield chunk


_MOST = {"concurrency": 10_000, "rpm": 10_000_000, "tpm": 10_000_000_000}


def _check_bounds(limits: RunLimits, callee: CallableProcessor) -> None:
    given = [name for name in ("rpm", "tpm") if getattr(limits, name) is not None]
    if given and not isinstance(callee.function, RateLimitable):
        raise SettingsError(
            f"{given[0]} limits the requests of a recipe, and this job has none; leave it out", setting=given[0]
        )


def _check_run(limits: RunLimits, max_attempts: int, timeout_seconds: float, limit: int | None) -> None:
    checks: tuple[tuple[str, Any, type[int | float], float, float], ...] = (
        *((name, value, int, int(name == "concurrency"), _MOST[name]) for name, value in limits.to_dict().items()),
        ("max_attempts", max_attempts, int, 1, 1_000),
        ("timeout", timeout_seconds, float, 0.001, 604_800),
        ("limit", 1 if limit is None else limit, int, 1, 10**12),
    )
    for name, value, kind, least, most in checks:
        if isinstance(value, bool) or not isinstance(value, (int, kind)):
            wanted = "a whole number" if kind is int else "a number of seconds"
            raise SettingsError(f"{name} must be {wanted}, not {value!r}", setting=name)
        if not least <= float(value) <= most:
            raise SettingsError(f"{name} must be from {least:,} to {most:,}, not {value:,}", setting=name)
