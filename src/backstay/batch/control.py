"""Control of jobs: resume, pause, cancel, retry, skip and discard."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import BinaryIO

from backstay.bad_row_policy import BadRowPolicy
from backstay.batch.call_limits import CallLimits, check_limits, check_rate_limits
from backstay.batch.creation import CreateResult, JobCreator, JobRequest, drop_job
from backstay.batch.deleted_results import DeletedRetryResult
from backstay.batch.inspection import JobInspection
from backstay.batch.intake import Chunks, Items, read_items, read_until_stopped
from backstay.batch.item_columns import ColumnMapping
from backstay.batch.job import FINISHED, Job, JobAction, JobState, Pause, check_action
from backstay.batch.processor import Processor
from backstay.batch.processor_lookup import ProcessorLookup, ProcessorSource
from backstay.batch.progress import Listener
from backstay.batch.runner import BackUpReplaced, BatchResult, JobRunner
from backstay.batch.stop_signal import StopSignal
from backstay.batch.store import BatchStores
from backstay.errors import JobNameNeeded, NothingToRun
from backstay.library.quarantine import handle_bad_rows
from backstay.readers.input_notes import NoteListener
from backstay.readers.read_options import AS_DETECTED, ReadOptions


class JobControl(JobInspection):
    """The jobs of one owner, and what a user does with existing ones."""

    def __init__(
        self,
        *,
        stores: BatchStores,
        owner: str,
        source: ProcessorSource,
        folder: Path,
        lease_seconds: float,
        concurrency: int,
        back_up_replaced: BackUpReplaced,
    ) -> None:
        super().__init__(stores=stores, owner=owner)
        self._processor_lookup = ProcessorLookup(source)
        self._creator = JobCreator(stores=stores, owner=owner, folder=folder)
        self._runner = JobRunner(
            stores=stores,
            owner=owner,
            folder=folder,
            lease_seconds=lease_seconds,
            concurrency=concurrency,
            back_up_replaced=back_up_replaced,
        )

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
        on_bad_row: BadRowPolicy | str | None = None,
        quarantine: str | Path | None = None,
        on_progress: Listener | None = None,
        stop: StopSignal | None = None,
        stdin: BinaryIO | None = None,
        read: ReadOptions = AS_DETECTED,
        on_note: NoteListener | None = None,
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
            InvalidTransition: the job was cancelled.
        """
        limits = CallLimits(concurrency, rpm, tpm)
        check_limits(limits, limit=limit)
        job = await self.checkpoint(job_id) if job_id is not None else await self.unfinished_job()
        callee = await self._processor_lookup.from_job(job, process, retry_on, base_url)
        check_rate_limits(limits, callee)
        created, stop = None, stop or StopSignal()
        if accept_new_items is not None:
            recipe = self._processor_lookup.recipe(job)
            request = JobRequest(job.id, job.processor, job.settings, accept_new_items=True, recipe=recipe)
            read_input = partial(read_items, accept_new_items, columns, stdin=stdin, read=read, on_note=on_note)
            created = await self._create_job(request, read_input, on_bad_row, quarantine, stop)
        if retry_failed:
            await self._stores.jobs.retry(self._owner, job.id, None)
        await self._set_limits(job.id, limits)
        return await self._runner.run(
            job.id, callee, created, limit=limit, grace_seconds=grace_seconds, on_progress=on_progress, stop=stop
        )

    async def _create_job(
        self,
        request: JobRequest,
        read_input: Callable[..., Chunks],
        on_bad_row: BadRowPolicy | str | None,
        quarantine: str | Path | None,
        stop: StopSignal,
    ) -> CreateResult:
        """Create a job, or add the items that it lacks. `read_input` is `read_items` without recipe and bad rows."""
        with handle_bad_rows(on_bad_row, quarantine) as bad_rows:
            chunks = read_input(recipe=request.recipe, bad_rows=bad_rows)
            created = await self._creator.create(request, read_until_stopped(stop, chunks))
        return replace(created, bad_rows=bad_rows.report)

    async def prepare_resume(self, job_id: str, limits: CallLimits | None = None) -> Job:
        """Check that this program can resume a job, store the `limits` of its runs, and return the job.

        Raises:
            SettingsError: the job has no recipe, so its requests cannot be limited.
            JobNotFound: no job has this name.
            InvalidTransition: the job was cancelled.
            ProcessorNotPortable: only the program that created the job can resume it.
            ProcessorUnusable, ProcessorNotAllowed, RecipeError, ApiKeyMissing: its processor or recipe cannot be used.
        """
        job = await self.checkpoint(job_id)
        if job.state is JobState.CANCELLED:
            check_action(job_id, job.state, JobAction.RESUME)
        if job.state not in FINISHED:
            callee = await self._processor_lookup.from_job(job)
            if limits is not None:
                check_rate_limits(limits, callee)
                await self._set_limits(job_id, limits)
                return await self.checkpoint(job_id)
        return job

    async def retry(self, job_id: str, item_ids: Sequence[str] | None = None) -> int:
        """Requeue failed items (all, or those named), for `resume` to process; return how many.

        A named item may also be a completed one whose conversation was deleted.

        Raises:
            JobNotFound, ItemNotFound: the job or an item does not exist.
            InvalidTransition: the job was cancelled, or a named item has not failed.
        """
        # Otherwise a single id would be read as one id per letter.
        ids = [item_ids] if isinstance(item_ids, str) else item_ids
        return await self._stores.jobs.retry(self._owner, job_id, ids)

    async def retry_deleted(self, job_id: str) -> DeletedRetryResult:
        """Requeue the completed items whose conversations were deleted, for `resume` to make these again.

        Raises:
            JobNotFound: the job does not exist.
            InvalidTransition: the job was cancelled.
        """
        while await self._stores.deleted_results.unpack_step(self._owner, job_id):
            pass
        return await self._stores.deleted_results.retry(self._owner, job_id)

    async def skip(self, job_id: str, item_ids: Sequence[str]) -> int:
        """Skip the named pending or failed items of a job, either all of them or none; return how many.

        Raises:
            JobNotFound, ItemNotFound: the job or an item does not exist.
            InvalidTransition: the job was cancelled, or a named item is running, completed or skipped.
        """
        ids = [item_ids] if isinstance(item_ids, str) else item_ids  # as in `retry`
        return await self._stores.jobs.skip(self._owner, job_id, ids)

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
            JobHasWorkers: a worker is running the job; pause or cancel the job first. If it is unknown whether a
                worker lives, as on another host, this is raised only after slightly more than a lease.
        """
        await self._runner.wait_until_idle(job_id)
        job_key = await self._stores.jobs.discard(self._owner, job_id)
        if job_key is not None:
            await drop_job(self._stores, self._owner, job_key)

    async def _set_limits(self, job_id: str, limits: CallLimits) -> None:
        if limits.to_dict():
            await self._stores.jobs.set_limits(self._owner, job_id, limits)

    async def unfinished_job(self) -> Job:
        """Return the only unfinished job. Raises NothingToRun, JobNameNeeded."""
        jobs = await self.incomplete(limit=6)
        if not jobs:
            raise NothingToRun("No job is unfinished")
        if len(jobs) > 1:
            names = ", ".join(job.id for job in jobs[:5]) + (" and more" if len(jobs) > 5 else "")
            raise JobNameNeeded(f"Several jobs are unfinished; name one of: {names}", jobs=[job.id for job in jobs])
        return jobs[0]
