"""The service for batch jobs: create and run them. Its bases inspect them, and control those that exist."""

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import BinaryIO

from backstay.bad_row_policy import BadRowPolicy
from backstay.batch.call_limits import CallLimits, check_limits, check_rate_limits
from backstay.batch.creation import JobRequest
from backstay.batch.intake import Items, read_items
from backstay.batch.item_columns import ColumnMapping
from backstay.batch.job import Job, JobSettings
from backstay.batch.job_recipe import JobRecipe
from backstay.batch.processor import Processor
from backstay.batch.processor_lookup import processor_name
from backstay.batch.progress import Listener
from backstay.batch.revisions import JobRevisions
from backstay.batch.runner import BatchResult
from backstay.batch.stop_signal import StopSignal
from backstay.library.id_text import check_id
from backstay.readers.bad_rows import BadRowsReport
from backstay.readers.input_ceiling import InputCeiling
from backstay.readers.input_notes import NoteListener
from backstay.readers.read_options import AS_DETECTED, ReadOptions


class Batches(JobRevisions):
    """The batch jobs of one owner."""

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
        timeout_seconds: float = 600.0,
        limit: int | None = None,
        columns: ColumnMapping | None = None,
        on_bad_row: BadRowPolicy | str | None = None,
        quarantine: str | Path | None = None,
        accept_new_items: bool = False,
        on_progress: Listener | None = None,
        stop: StopSignal | None = None,
        stdin: BinaryIO | None = None,
        read: ReadOptions = AS_DETECTED,
        on_note: NoteListener | None = None,
        grace_seconds: float = 10.0,
        retry_on: tuple[type[Exception], ...] = (),
    ) -> BatchResult:
        """Process every item exactly once, however often this is called and interrupted.

        Args:
            job_id: Name of the job. A call with the same name continues the same job.
            items: Items or dictionaries as an iterable (sync or async), or the path of a file, of a folder of files, or
                a pattern such as `data/*.jsonl`.
            process: A callable taking `(item)` or `(item, work)`, sync or async; its name, such as `scripted` or
                `module:function`; or a recipe. With a name or a recipe, any program can resume the job.
            concurrency: Maximum calls in flight. Default: the job's last value, else 16.
            rpm: Maximum requests per minute, for a recipe. Default: the job's last value. 0 removes the limit. The
                limits of the provider account apply as well.
            tpm: Maximum tokens per minute, for a recipe. Default: the job's last value. 0 removes the limit.
            max_attempts: Maximum tries of an item with transient failures.
            timeout_seconds: Time limit of one try.
            limit: Maximum number of items that this run claims.
            columns: The columns of the input that hold id, topic and persona.
            on_bad_row: What to do with rows that cannot be used: `fail` and create nothing, which is the default;
                `skip` them; or write them to the `quarantine`. The result says how many there were.
            quarantine: The file for bad rows of a file, as they stand in it; a file next to it has the reasons. Both
                appear once the job is created.
            accept_new_items: Add items that the existing job lacks, instead of raising ItemsDiffer.
            on_progress: Called with the progress, at most ten times a second and once at the end.
            stop: A signal by which the caller can request a graceful stop.
            stdin: The stream that `items="-"` reads. Default: the standard input of the process.
            read: The encoding and the delimiter of files, where they cannot be detected.
            on_note: Called, from any thread, with a sentence for each fact that was noticed about the input.
            grace_seconds: How long calls in flight may continue after a stop.
            retry_on: Exception classes after which an item is tried again, for a callable.

        Raises:
            InputError: an item is unusable and `on_bad_row` is `fail`, or every item is. No call was made and no job
                created.
            OutputUnwritable: the quarantine cannot be written, or exists with other content.
            JobDiffers, ItemsDiffer: the job exists with another processor, recipe or items.
            ProcessorUnusable: the processor cannot be found or called.
            RecipeError: an item lacks a value that the recipe uses. No call was made and no job created.
            Stopped: a stop was requested before all items were read. No job was created.
            StorageError: the database failed; the job stays resumable.
        """
        limits = CallLimits(concurrency, rpm, tpm)
        check_limits(limits, max_attempts=max_attempts, timeout_seconds=timeout_seconds, limit=limit)
        check_id(job_id, "the job's name", job_id=job_id)
        recipe = process if isinstance(process, JobRecipe) else None
        callee = await self._processor_lookup.from_process(process, retry_on)
        check_rate_limits(limits, callee)
        settings = JobSettings(max_attempts, timeout_seconds, CallLimits().with_changes(limits))
        request = JobRequest(job_id, processor_name(process), settings, accept_new_items, recipe)
        started, stop = time.monotonic(), stop or StopSignal()
        read_input = partial(read_items, items, columns, stdin=stdin, read=read, on_note=on_note)
        created = await self._create_job(request, read_input, on_bad_row, quarantine, stop)
        if not created.is_new:
            await self._set_limits(job_id, limits)
        if recipe is not None and (job := await self._creator.existing_job(request)) is not None:
            callee = replace(callee, revision=job.revision)
        creation_seconds = time.monotonic() - started
        result = await self._runner.run(
            job_id, callee, created, limit=limit, grace_seconds=grace_seconds, on_progress=on_progress, stop=stop
        )
        return replace(result, seconds=creation_seconds + result.seconds)

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
        timeout_seconds: float = 600.0,
        columns: ColumnMapping | None = None,
        on_bad_row: BadRowPolicy | str | None = None,
        quarantine: str | Path | None = None,
        report_bad_rows: Callable[[BadRowsReport], None] | None = None,
        stdin: BinaryIO | None = None,
        read: ReadOptions = AS_DETECTED,
        on_note: NoteListener | None = None,
        ceiling: InputCeiling | None = None,
    ) -> Job:
        """Create a job without running it; `resume` or another process runs it. Raises like `run`.

        Args:
            report_bad_rows: Called with the rows that were left out, once the job is created.
            ceiling: Maximum items and characters of a file. The other arguments are those of `run`.
        """
        limits = CallLimits(concurrency, rpm, tpm)
        check_limits(limits, max_attempts=max_attempts, timeout_seconds=timeout_seconds)
        check_id(job_id, "the job's name", job_id=job_id)
        recipe = processor if isinstance(processor, JobRecipe) else None
        check_rate_limits(limits, await self._processor_lookup.from_process(processor))
        settings = JobSettings(max_attempts, timeout_seconds, CallLimits().with_changes(limits))
        request = JobRequest(job_id, processor_name(processor), settings, recipe=recipe)
        read_input = partial(read_items, items, columns, stdin=stdin, read=read, on_note=on_note, ceiling=ceiling)
        created = await self._create_job(request, read_input, on_bad_row, quarantine, StopSignal())
        if report_bad_rows is not None:
            report_bad_rows(created.bad_rows)
        if not created.is_new:
            await self._set_limits(job_id, limits)
        return await self.checkpoint(job_id)
