"""`backstay jobs`, `status` and `failed`: looking at jobs."""

from typing import TYPE_CHECKING, Annotated

import typer

from backstay.cli import hints
from backstay.cli.invocation import Invocation, in_loop
from backstay.cli.options import AsJson, JobArgument
from backstay.cli.output import Output, is_terminal
from backstay.cli.text import counted, duration, plain, plain_lines

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from backstay.batch.item import Failure
    from backstay.batch.job import Job
    from backstay.batch.recipe import FrozenRecipe
    from backstay.objects import Object

_MOST = 1_000_000  # jobs in a list
_TOLD = 5  # of those that were taken over, how to go on with them
_COLUMNS = ("JOB", "STATE", "SETTLED", "FAILED", "SKIPPED", "PROCESSOR", "UPDATED")


def jobs(
    context: typer.Context,
    incomplete: Annotated[bool, typer.Option("--incomplete", help="Only those with work left.")] = False,
    as_json: AsJson = False,
) -> None:
    """List jobs, the latest first.

    In a pipe: one job a line, tabs between name, state, settled, failed, skipped, processor and time.

    \b
    Examples:
      backstay jobs
      backstay jobs --incomplete --json
    """
    invocation = Invocation.of(context)
    out = Output(invocation, as_json=as_json)

    async def do() -> None:
        async with invocation.open() as backstay:
            batches = backstay.batches
            found = await (batches.incomplete(limit=_MOST) if incomplete else batches.list(limit=_MOST))
        if as_json:
            from backstay.objects import JobsOut

            out.answer(JobsOut.of(found, limit=_MOST))
        elif found:
            out.table(_COLUMNS, [_row(job) for job in found], whole=("UPDATED",))
            for job in [job for job in found if job.lacks_items and job.pause is not None][:_TOLD]:
                out.note(f"{plain(job.id)}: {plain(job.pause.message if job.pause else '')}")
        else:
            out.note("No job is unfinished." if incomplete else "There are no jobs.")

    in_loop(do())


def status(context: typer.Context, job: JobArgument, as_json: AsJson = False) -> None:
    """Show where a job stands.

    \b
    Example:
      backstay status topics --json
    """
    invocation = Invocation.of(context)
    out = Output(invocation, as_json=as_json)

    async def do() -> None:
        async with invocation.open() as backstay:
            shown = await backstay.batches.checkpoint(job)
            if as_json:
                from backstay.objects import JobOut

                out.answer(JobOut.of(shown))
            for line in _in_full(invocation, shown):
                out.line(line)
            await hints.remind(invocation, out, backstay, about=job)

    in_loop(do())


def failed(
    context: typer.Context,
    job: JobArgument,
    raw: Annotated[bool, typer.Option("--raw", help="Show the answer of that attempt too, as it came.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the failed items of a job.

    Each with the attempt that settled it.

    In a pipe, without --raw: one item a line, tabs between id, error code, attempts, time, topic and message.

    \b
    Examples:
      backstay failed topics
      backstay failed topics --raw
      backstay failed topics --json > failed.json
      backstay failed topics | cut -f1 | tr '\\n' '\\0' | xargs -0 backstay retry topics
    """
    invocation = Invocation.of(context)
    out = Output(invocation, as_json=as_json)

    async def do() -> None:
        async with invocation.open() as backstay:
            failures = backstay.batches.failed(job)
            if as_json:
                await out.answer_each("items", _as_objects(failures))
            else:
                number = 0
                async for failure in failures:
                    number += 1
                    _print_failure(out, failure, raw=raw)
                out.note(f"{counted(number, 'failed item')}.")
            await hints.remind(invocation, out, backstay, about=job)

    in_loop(do())


async def _as_objects(failures: "AsyncIterator[Failure]") -> "AsyncIterator[Object]":
    from backstay.objects import FailedItemOut

    async for failure in failures:
        yield FailedItemOut.of(failure)


def _row(job: "Job") -> tuple[object, ...]:
    counts = job.counts
    settled = hints.settled_in_words(job) if job.lacks_items else f"{counts.settled} of {counts.planned}"
    state = hints.state_in_words(job)
    return job.id, state, settled, counts.failed, counts.skipped, job.processor, f"{job.updated_at:%Y-%m-%d %H:%M}Z"


def _in_full(invocation: Invocation, job: "Job") -> list[str]:
    counts, tokens = job.counts, job.tokens
    lines = [
        f"{plain(job.id)}: {hints.in_words(job)}",
        f"  items      {counts.completed:,} completed, {counts.failed:,} failed, {counts.skipped:,} skipped, "
        f"{counts.running:,} running, {counts.pending:,} pending",
        f"  tokens     {tokens.tokens_in:,} in, {tokens.tokens_out:,} out",
        f"  processor  {plain(job.processor)}",
        *([f"  recipe     {_fingerprint(job.recipe)}"] if job.recipe is not None else []),
        f"  each item  {job.settings.max_attempts} tries of at most {duration(job.settings.timeout_seconds)}",
        f"  created    {job.created_at:%Y-%m-%d %H:%M:%S}Z",
        f"  updated    {job.updated_at:%Y-%m-%d %H:%M:%S}Z",
    ]
    if job.finished_at is not None:
        lines.append(f"  finished   {job.finished_at:%Y-%m-%d %H:%M:%S}Z")
    if job.workers:
        lines.append(f"  workers    {job.workers:,}")
    if job.pause is not None:
        lines.append(f"  paused     {plain(job.pause.message)} ({plain(job.pause.code)})")
    if job.lacks_items:
        return lines  # the pause says how to go on
    if job.processor == "caller" and job.is_incomplete:
        lines.append("  go on by running the program that made it again: its processor is a function of that program")
    elif job.is_incomplete and job.state != "running":
        lines.append(f"  go on with {invocation.about('resume', job.id)}")
    elif counts.failed:
        lines.append(f"  failed     {invocation.about('failed', job.id)}")
    return lines


def _fingerprint(frozen: "FrozenRecipe") -> str:
    from backstay.generate.recipe import fingerprint

    return f"{fingerprint(frozen)[:12]}, {frozen.get('turns')} turns"


def _print_failure(out: Output, failure: "Failure", *, raw: bool) -> None:
    error = (failure.item_id, failure.error_code, failure.attempts, failure.failed_at)
    if not raw and not is_terminal(1):
        out.line("\t".join(plain(cell) for cell in (*error, failure.topic or "", failure.error_message)))
        return
    item, code, attempts, moment = (plain(cell) for cell in error)
    out.line(f"{item}  {code}, attempt {attempts}, {moment}")
    if failure.topic is not None:
        out.line(f"    topic: {plain(failure.topic)}")
    for line in plain_lines(failure.error_message):
        out.line(f"    {line}")
    if raw:
        for line in plain_lines(failure.raw) if failure.raw else ["(no answer was kept)"]:
            out.line(f"    | {line}")
