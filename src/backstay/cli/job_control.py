"""`backstay retry`, `skip`, `pause`, `cancel` and `discard`: steering jobs."""

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
        typer.Argument(metavar="ITEM", help="Ids of failed items; without any, all of them.", parser=id_of_printed),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Put failed items back to pending.

    `backstay resume` then works on them.

    \b
    Examples:
      backstay retry topics
      backstay retry topics topic-17 topic-42
    """
    invocation = Invocation.from_context(context)
    out = Output(invocation, as_json=as_json)

    async def do() -> None:
        async with invocation.open() as backstay:
            number = await backstay.batches.retry(job, items or None)
            if as_json:
                from backstay.schemas import JobOut, RetryOut

                out.answer(RetryOut(job=JobOut.from_job(await backstay.batches.checkpoint(job)), retried=number))
            out.line(f"{printed_id(job)}: {format_count(number, 'failed item')} put back to pending.")
            if number:
                out.note(f"Continue with: {invocation.about('resume', job)}")
            await reminders.remind(invocation, out, backstay, about=job)

    run_async(do())


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

    All of those named or none: for instance the one that a job pauses on each time it is resumed. A running, completed
    or skipped item is refused.

    \b
    Examples:
      backstay skip topics topic-17
      backstay skip topics topic-17 topic-42 --json
    """
    invocation = Invocation.from_context(context)
    out = Output(invocation, as_json=as_json)

    async def do() -> None:
        async with invocation.open() as backstay:
            number = await backstay.batches.skip(job, items)
            shown = await backstay.batches.checkpoint(job)
            if as_json:
                from backstay.schemas import JobOut, SkipOut

                out.answer(SkipOut(job=JobOut.from_job(shown), skipped=number))
            out.line(f"{printed_id(job)}: {format_count(number, 'item')} skipped; {reminders.format_job(shown)}.")
            if shown.is_incomplete and shown.state != "running":
                out.note(f"Continue with: {invocation.about('resume', job)}")
            await reminders.remind(invocation, out, backstay, about=job)

    run_async(do())


def pause(context: typer.Context, job: JobArgument, as_json: AsJson = False) -> None:
    """Stop a job for now.

    Every worker on it stops gracefully, wherever it runs; `backstay resume` goes on.

    \b
    Example:
      backstay pause topics
    """
    invocation = Invocation.from_context(context)
    out = Output(invocation, as_json=as_json)

    async def do() -> None:
        async with invocation.open() as backstay:
            paused = await backstay.batches.pause(job)
            workers = ", its workers finish what they have in flight" if paused.workers else ""
            _print(out, paused, f"{printed_id(job)}: {reminders.format_job(paused)}{workers}.")
            out.note(f"Continue with: {invocation.about('resume', job)}")
            await reminders.remind(invocation, out, backstay, about=job)

    run_async(do())


def cancel(context: typer.Context, job: JobArgument, yes: Yes = False, as_json: AsJson = False) -> None:
    """Stop a job for good.

    What it made stays, what it did not do is never done. Asks on a terminal; elsewhere --yes must be given.

    \b
    Example:
      backstay cancel topics --yes
    """
    invocation = Invocation.from_context(context)
    out = Output(invocation, as_json=as_json)

    async def do() -> None:
        async with invocation.open() as backstay:
            cancelled = await backstay.batches.cancel(job)
            _print(out, cancelled, f"{printed_id(job)}: {reminders.format_job(cancelled)}; its conversations stay.")
            await reminders.remind(invocation, out, backstay, about=job)

    if not yes:
        confirm(f"Cancel {_standing(run_async(_job(invocation, job)))} for good", job_id=job)
    run_async(do())


def discard(context: typer.Context, job: JobArgument, yes: Yes = False, as_json: AsJson = False) -> None:
    """Forget a job and free its name.

    Its conversations stay; its checkpoint, with what is left to do, goes. A job of the same items would ask for all of
    them again.
    Asks on a terminal; elsewhere --yes must be given.

    \b
    Example:
      backstay discard topics --yes
    """
    invocation = Invocation.from_context(context)
    out = Output(invocation, as_json=as_json)

    async def do() -> None:
        async with invocation.open() as backstay:
            await backstay.batches.discard(job)
            if as_json:
                from backstay.schemas import DiscardOut

                out.answer(DiscardOut(id=job))
            out.line(f"{printed_id(job)}: discarded; its conversations stay.")
            await reminders.remind(invocation, out, backstay, about=job)

    if not yes:
        found = run_async(_job(invocation, job))
        confirm(f"{_what_stays(found)}Forget {_standing(found)}, its checkpoint and all", job_id=job)
    run_async(do())


async def _job(invocation: Invocation, job: str) -> "Job":
    async with invocation.open() as backstay:
        return await backstay.batches.checkpoint(job)


def _standing(job: "Job") -> str:
    return f"{printed_id(job.id)} ({reminders.format_job(job)})"


def _what_stays(job: "Job") -> str:
    completed = job.counts.completed
    if not completed:
        return ""
    stay, them = ("stays", "it") if completed == 1 else ("stay", "them")
    made = f"{format_count(completed, 'conversation')} of {printed_id(job.id)} {stay} in the library"
    return f"{made}, and a job of the same items would ask for {them} again. "


def _print(out: Output, job: "Job", line: str) -> None:
    if out.as_json:
        from backstay.schemas import JobOut

        out.answer(JobOut.from_job(job))
    out.line(line)
