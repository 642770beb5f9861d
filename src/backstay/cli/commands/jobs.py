"""`backstay jobs`, `status` and `failed`: show jobs."""

from typing import TYPE_CHECKING, Annotated

import typer

from backstay.cli import reminders
from backstay.cli.invocation import Invocation, run_async
from backstay.cli.options import AsJson, JobArgument
from backstay.cli.output import Output, is_terminal
from backstay.cli.text import format_count, format_duration, printable, printable_lines, shortened
from backstay.clock import SystemClock
from backstay.coordination.store import OwnedKind
from backstay.library.id_text import printed_id

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from backstay.batch.item import FailedItem
    from backstay.batch.job import Job
    from backstay.batch.recipe import FrozenRecipe
    from backstay.schemas import ApiObject

_MAX_JOBS = 1_000_000
_LONGEST_SAMPLE = 300  # characters of the sample message
_MAX_NOTES = 5  # imported jobs whose next step is printed
_COLUMNS = ("JOB", "STATE", "SETTLED", "FAILED", "SKIPPED", "PROCESSOR", "UPDATED")


def jobs(
    context: typer.Context,
    incomplete: Annotated[bool, typer.Option("--incomplete", help="Only unfinished jobs.")] = False,
    as_json: AsJson = False,
) -> None:
    """List jobs, the latest first.

    In a pipe: one job per line, tabs between name, state, settled, failed, skipped, processor and time.

    \b
    Examples:
      backstay jobs
      backstay jobs --incomplete --json
    """
    invocation = Invocation.from_context(context)
    out = Output(invocation, as_json=as_json)

    async def execute() -> None:
        async with invocation.open() as backstay:
            batches = backstay.batches
            records = await (batches.incomplete(limit=_MAX_JOBS) if incomplete else batches.list(limit=_MAX_JOBS))
            if as_json:
                from backstay.schemas import JobsOut

                out.print_json(JobsOut.from_page(records, limit=_MAX_JOBS))
            elif records:
                out.table(_COLUMNS, [_row(job) for job in records], whole=("UPDATED",))
                for job in [job for job in records if job.lacks_items and job.pause is not None][:_MAX_NOTES]:
                    out.note(f"{printed_id(job.id)}: {printable(job.pause.message if job.pause else '')}")
            else:
                out.note("No job is unfinished." if incomplete else "No jobs.")
                await reminders.mention_other_owners(
                    out, backstay, OwnedKind.UNFINISHED_JOB if incomplete else OwnedKind.JOB
                )

    run_async(execute())


def status(context: typer.Context, job: JobArgument, as_json: AsJson = False) -> None:
    """Show the state and progress of a job.

    \b
    Example:
      backstay status topics --json
    """
    invocation = Invocation.from_context(context)
    out = Output(invocation, as_json=as_json)

    async def execute() -> None:
        async with invocation.open() as backstay:
            checkpoint = await backstay.batches.checkpoint(job)
            evidence = await backstay.batches.evidence(job)
            if as_json:
                from backstay.schemas import JobDetailOut

                out.print_json(JobDetailOut.from_job_and_evidence(checkpoint, evidence))
            codes = await backstay.batches.failure_codes(job) if checkpoint.counts.failed else {}
            for line in _format_lines(invocation, checkpoint, evidence, has_answers=any(codes.values())):
                out.line(line)
            await reminders.remind(invocation, out, backstay, about=job)

    run_async(execute())


def failed(
    context: typer.Context,
    job: JobArgument,
    raw: Annotated[bool, typer.Option("--raw", help="Also show the raw answer.")] = False,
    traceback: Annotated[bool, typer.Option("--traceback", help="Also show the processor's traceback.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the failed items of a job.

    Shows each with its last attempt. If the job paused by itself, the answers that caused the pause follow, marked
    `paused on`: their items have not failed.

    In a pipe, without --raw and --traceback: one failed item per line, tabs between id, error code, attempts, time,
    topic and message; lines marked `paused on` are left out.

    \b
    Examples:
      backstay failed topics
      backstay failed topics --raw
      backstay failed topics --traceback
      backstay failed topics --json > failed.json
      backstay failed topics | cut -f1 | tr '\\n' '\\0' | xargs -0 backstay retry topics
    """
    invocation = Invocation.from_context(context)
    out = Output(invocation, as_json=as_json)

    async def execute() -> None:
        async with invocation.open() as backstay:
            failures = backstay.batches.failed(job)
            evidence = await backstay.batches.evidence(job)
            if as_json:
                from backstay.schemas import PauseEvidenceOut

                pauses = {"pauseEvidence": [PauseEvidenceOut.from_failure(failure) for failure in evidence]}
                await out.print_json_list("items", _as_objects(failures), others=pauses)
            else:
                number, has_answers = 0, any(failure.raw for failure in evidence)
                async for failure in failures:
                    number, has_answers = number + 1, has_answers or bool(failure.raw)
                    _print_failure(out, failure, raw=raw, traceback=traceback)
                if raw or traceback or is_terminal(1):
                    for failure in evidence:
                        _print_failure(out, failure, raw=raw, traceback=traceback, mark="paused on ")
                paused_on = f"; paused on {format_count(len(evidence), 'answer')}" if evidence else ""
                out.note(f"{format_count(number, 'failed item')}{paused_on}.")
                if has_answers and not raw:
                    out.note(f"Show the answers: {invocation.job_command('failed', job, '--raw')}")
            await reminders.remind(invocation, out, backstay, about=job)

    run_async(execute())


async def _as_objects(failures: "AsyncIterator[FailedItem]") -> "AsyncIterator[ApiObject]":
    from backstay.schemas import FailureOut

    async for failure in failures:
        yield FailureOut.from_failure(failure)


def _row(job: "Job") -> tuple[object, ...]:
    counts = job.counts
    settled = reminders.format_settled(job) if job.lacks_items else f"{counts.settled} of {counts.planned}"
    state = reminders.format_state(job)
    updated = f"{job.updated_at:%Y-%m-%d %H:%M}Z"
    return printed_id(job.id), state, settled, counts.failed, counts.skipped, job.processor, updated


def _format_lines(
    invocation: Invocation, job: "Job", evidence: "Sequence[FailedItem]", *, has_answers: bool
) -> list[str]:
    from backstay.generate.failure_advice import may_resume

    counts, tokens = job.counts, job.tokens
    lines = [
        f"{printed_id(job.id)}: {reminders.format_job(job)}",
        f"  items      {counts.completed:,} completed, {counts.failed:,} failed, {counts.skipped:,} skipped, "
        f"{counts.running:,} running, {counts.pending:,} pending",
        f"  tokens     {tokens.tokens_in:,} in, {tokens.tokens_out:,} out",
        f"  processor  {printable(job.processor)}",
        *([f"  recipe     {_fingerprint(job.recipe)}"] if job.recipe is not None else []),
        f"  each item  {job.settings.max_attempts} attempts of at most {format_duration(job.settings.timeout_seconds)}",
        *([f"  limits     {_limits(job)}"] if job.settings.limits.to_dict() else []),
        f"  created    {job.created_at:%Y-%m-%d %H:%M:%S}Z",
        f"  updated    {job.updated_at:%Y-%m-%d %H:%M:%S}Z",
    ]
    if job.finished_at is not None:
        lines.append(f"  finished   {job.finished_at:%Y-%m-%d %H:%M:%S}Z")
    if job.workers:
        lines.append(f"  workers    {job.workers:,}")
    if job.provider_wait is not None:
        lines.append(f"  waiting    {printable(job.provider_wait.format_message(SystemClock().now()))}")
    if job.pause is not None:
        lines.append(f"  paused     {printable(job.pause.message)} ({printable(job.pause.code)})")
    lines += _pause_lines(invocation, job, evidence)
    if counts.failed and not evidence:
        lines.append(f"  failed     {invocation.job_command('failed', job.id, *(['--raw'] if has_answers else []))}")
    if job.lacks_items:
        return lines  # the reason of the pause names the next step
    if job.processor == "caller" and job.is_incomplete:
        lines.append("  continue with the program that created it: its processor is a function of that program")
    elif job.pause is not None and not may_resume(job.pause.code):
        lines.append(f"  discard it with {invocation.job_command('discard', job.id)}")
    elif job.is_incomplete and job.state != "running":
        lines.append(f"  continue with {invocation.job_command('resume', job.id)}")
    return lines


def _limits(job: "Job") -> str:
    limits = job.settings.limits
    bounds = (
        (limits.concurrency, "call", "at once"),
        (limits.rpm, "request", "per minute"),
        (limits.tpm, "token", "per minute"),
    )
    return ", ".join(f"{format_count(value, what)} {when}" for value, what, when in bounds if value is not None)


def _pause_lines(invocation: Invocation, job: "Job", evidence: "Sequence[FailedItem]") -> list[str]:
    """Return lines that show one of the answers that caused a pause, and the command that shows all."""
    if not evidence:
        return []
    from backstay.batch.job import MAX_EVIDENCE

    sample, more = evidence[0], " or more" if len(evidence) == MAX_EVIDENCE else ""
    # Most pauses quote it already.
    is_quoted = job.pause is not None and sample.error_message in job.pause.message
    message = "" if is_quoted else f", {shortened(printable(sample.error_message), _LONGEST_SAMPLE)}"
    return [
        f"  paused on  {printed_id(sample.item_id)} ({sample.state}): {printable(sample.error_code)}{message}",
        f"             {format_count(len(evidence), 'call')}{more} caused the pause: "
        f"{invocation.job_command('failed', job.id, '--raw')}",
    ]


def _fingerprint(recipe: "FrozenRecipe") -> str:
    from backstay.generate.recipe import fingerprint

    return f"{fingerprint(recipe)[:12]}, {recipe.get('turns')} turns"


def _print_failure(out: Output, failure: "FailedItem", *, raw: bool, traceback: bool, mark: str = "") -> None:
    error = (printed_id(failure.item_id), failure.error_code, failure.attempts, failure.failed_at)
    if not raw and not traceback and not is_terminal(1):
        out.line("\t".join(printable(cell) for cell in (*error, failure.topic or "", failure.error_message)))
        return
    item, code, attempts, moment = (printable(cell) for cell in error)
    state = f" ({failure.state})" if mark else ""
    out.line(f"{mark}{item}{state}  {code}, attempt {attempts}, {moment}")
    if failure.topic is not None:
        out.line(f"    topic: {printable(failure.topic)}")
    for line in printable_lines(failure.error_message):
        out.line(f"    {line}")
    if traceback:
        for line in printable_lines(failure.traceback) if failure.traceback else ["(no traceback stored)"]:
            out.line(f"      {line}")
    if raw:
        for line in printable_lines(failure.raw) if failure.raw else ["(no answer stored)"]:
            out.line(f"    | {line}")
