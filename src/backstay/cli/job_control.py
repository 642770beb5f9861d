"""`backstay retry`, `skip`, `pause`, `cancel` and `discard`: change the state of jobs."""

from typing import TYPE_CHECKING, Annotated

import typer

from backstay.cli import reminders
from backstay.cli.confirm import confirm
from backstay.cli.invocation import Invocation, run_async
from backstay.cli.options import AsJson, JobArgument, Yes
from backstay.cli.output import Output
from backstay.cli.text import format_count
from backstay.library.id_text import id_of_printed, printed_id

if TYPE_CHECKING:
    from backstay.batch.job import Job


def retry(
    context: typer.Context,
    job: JobArgument,
    items: Annotated[
        list[str] | None,
        typer.Argument(metavar="ITEM", help="Ids of failed items [default: all].", parser=id_of_printed),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Return failed items to pending.

    `backstay resume` then processes them.

    \b
    Examples:
      backstay retry topics
      backstay retry topics topic-17 topic-42
    """
    invocation = Invocation.from_context(context)
    out = Output(invocation, as_json=as_json)

    async def execute() -> None:
        async with invocation.open() as backstay:
            number = await backstay.batches.retry(job, items or None)
            if as_json:
                from backstay.schemas import JobOut, RetryOut

                out.print_json(RetryOut(job=JobOut.from_job(await backstay.batches.checkpoint(job)), retried=number))
            out.line(f"{printed_id(job)}: {format_count(number, 'failed item')} returned to pending.")
            if number:
                out.note(f"Continue with: {invocation.job_command('resume', job)}")
            await reminders.remind(invocation, out, backstay, about=job)

    run_async(execute())


def skip(
    context: typer.Context,
    job: JobArgument,
    items: Annotated[
        list[str],
        typer.Argument(
            metavar="ITEM", help="Ids of pending or failed items.", parser=id_of_printed, show_default=False
        ),
    ],
    as_json: AsJson = False,
) -> None:
    """Skip items of a job.

    Use it, for instance, for the item on which a job pauses each time it is resumed. If one of the items is running,
    completed or already skipped, none is skipped.

    \b
    Examples:
      backstay skip topics topic-17
      backstay skip topics topic-17 topic-42 --json
    """
    invocation = Invocation.from_context(context)
    out = Output(invocation, as_json=as_json)

    async def execute() -> None:
        async with invocation.open() as backstay:
            number = await backstay.batches.skip(job, items)
            checkpoint = await backstay.batches.checkpoint(job)
            if as_json:
                from backstay.schemas import JobOut, SkipOut

                out.print_json(SkipOut(job=JobOut.from_job(checkpoint), skipped=number))
            out.line(f"{printed_id(job)}: {format_count(number, 'item')} skipped; {reminders.format_job(checkpoint)}.")
            if checkpoint.is_incomplete and checkpoint.state != "running":
                out.note(f"Continue with: {invocation.job_command('resume', job)}")
            await reminders.remind(invocation, out, backstay, about=job)

    run_async(execute())


def pause(context: typer.Context, job: JobArgument, as_json: AsJson = False) -> None:
    """Pause a job.

    Its workers, on whatever machine, finish their calls in flight and stop. `backstay resume` continues the job.

    \b
    Example:
      backstay pause topics
    """
    invocation = Invocation.from_context(context)
    out = Output(invocation, as_json=as_json)

    async def execute() -> None:
        async with invocation.open() as backstay:
            paused = await backstay.batches.pause(job)
            workers = "; its workers finish their calls in flight" if paused.workers else ""
            _print(out, paused, f"{printed_id(job)}: {reminders.format_job(paused)}{workers}.")
            out.note(f"Continue with: {invocation.job_command('resume', job)}")
            await reminders.remind(invocation, out, backstay, about=job)

    run_async(execute())


def cancel(context: typer.Context, job: JobArgument, yes: Yes = False, as_json: AsJson = False) -> None:
    """Cancel a job for good.

    Its conversations stay; its remaining items are never processed. Asks on a terminal; elsewhere it needs --yes.

    \b
    Example:
      backstay cancel topics --yes
    """
    invocation = Invocation.from_context(context)
    out = Output(invocation, as_json=as_json)

    async def execute() -> None:
        async with invocation.open() as backstay:
            cancelled = await backstay.batches.cancel(job)
            _print(out, cancelled, f"{printed_id(job)}: {reminders.format_job(cancelled)}; its conversations stay.")
            await reminders.remind(invocation, out, backstay, about=job)

    if not yes:
        confirm(f"Cancel {_describe(run_async(_job(invocation, job)))} for good", job_id=job)
    run_async(execute())


def discard(context: typer.Context, job: JobArgument, yes: Yes = False, as_json: AsJson = False) -> None:
    """Discard a job and free its name.

    Its conversations stay; its checkpoint, with the remaining items, is deleted. A new job of the same items would
    process all of them again. Asks on a terminal; elsewhere it needs --yes.

    \b
    Example:
      backstay discard topics --yes
    """
    invocation = Invocation.from_context(context)
    out = Output(invocation, as_json=as_json)

    async def execute() -> None:
        async with invocation.open() as backstay:
            await backstay.batches.discard(job)
            if as_json:
                from backstay.schemas import DiscardOut

                out.print_json(DiscardOut(id=job))
            out.line(f"{printed_id(job)}: discarded; its conversations stay.")
            await reminders.remind(invocation, out, backstay, about=job)

    if not yes:
        confirm(run_async(_discard_question(invocation, job)), job_id=job)
    run_async(execute())


async def _discard_question(invocation: Invocation, job: str) -> str:
    async with invocation.open() as backstay:
        if any(waiting.job_id == job for waiting in await backstay.waiting_imports.list()):
            return f"Discard the imported job {printed_id(job)}"
        checkpoint = await backstay.batches.checkpoint(job)
        return f"{_warning(checkpoint)}Discard {_describe(checkpoint)} and its checkpoint"


async def _job(invocation: Invocation, job: str) -> "Job":
    async with invocation.open() as backstay:
        return await backstay.batches.checkpoint(job)


def _describe(job: "Job") -> str:
    return f"{printed_id(job.id)} ({reminders.format_job(job)})"


def _warning(job: "Job") -> str:
    completed = job.counts.completed
    if not completed:
        return ""
    stay, them = ("stays", "it") if completed == 1 else ("stay", "them")
    warning = f"{format_count(completed, 'conversation')} of {printed_id(job.id)} {stay} in the library"
    return f"{warning}, and a new job of the same items would generate {them} again. "


def _print(out: Output, job: "Job", line: str) -> None:
    if out.as_json:
        from backstay.schemas import JobOut

        out.print_json(JobOut.from_job(job))
    out.line(line)
