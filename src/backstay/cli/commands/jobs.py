"""`backstay jobs`, `status`, `pause`, `cancel` and `discard`: show jobs and change their state."""

from typing import TYPE_CHECKING, Annotated

import typer

from backstay.cli import reminders, schemas
from backstay.cli.command import CommandSession, command
from backstay.cli.invocation import Invocation
from backstay.cli.options import JobArgument, Yes
from backstay.cli.remedies import phrase
from backstay.cli.text import format_count, format_duration, format_time, printable, truncate
from backstay.clock import SystemClock
from backstay.library.id_text import printed_id
from backstay.other_owners import OwnedKind
from backstay.remedy import Remedy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from backstay.app import Backstay
    from backstay.batch.deleted_results import DeletedResults
    from backstay.batch.item import FailedItem
    from backstay.batch.job import Job, RegeneratedJob
    from backstay.batch.job_recipe import FrozenRecipe
    from backstay.legacy.imported_jobs import WaitingImport

_MAX_JOBS = 1_000_000
_MAX_SAMPLE_CHARACTERS = 300  # of the sample message
_MAX_NOTES = 5  # imported jobs whose next step is printed
_COLUMNS = ("JOB", "STATE", "SETTLED", "FAILED", "SKIPPED", "PROCESSOR", "UPDATED")


@command()
async def jobs(
    session: CommandSession,
    incomplete: Annotated[bool, typer.Option("--incomplete", help="Only unfinished jobs.")] = False,
) -> None:
    """List jobs, the latest first.

    In a pipe: one job per line, tabs between name, state, settled, failed, skipped, processor and time. Jobs in the
    state `imported` wait for a run with all their items.

    \b
    Examples:
      backstay jobs
      backstay jobs --incomplete --json
    """
    backstay, out = await session.open(), session.out
    batches = backstay.batches
    records = await (batches.incomplete(limit=_MAX_JOBS) if incomplete else batches.list(limit=_MAX_JOBS))
    waiting = await backstay.waiting_imports.list()
    if out.as_json:
        out.print_json(schemas.JobsOut.from_page(records, waiting, limit=_MAX_JOBS))
    elif records or waiting:
        out.table(_COLUMNS, [*map(_waiting_row, waiting), *map(_row, records)], unbroken=("UPDATED",))
        for job in waiting[:_MAX_NOTES]:
            next_step = phrase(session.invocation, Remedy.RUN_IMPORTED_JOB, {"job_id": job.job_id})
            out.note(f"{printed_id(job.job_id)} waits for all its items; {next_step}")
    else:
        out.note("No job is unfinished." if incomplete else "No jobs.")
        await reminders.mention_other_owners(out, backstay, OwnedKind.UNFINISHED_JOB if incomplete else OwnedKind.JOB)


@command()
async def status(session: CommandSession, job: JobArgument) -> None:
    """Show the state and progress of a job.

    \b
    Example:
      backstay status topics --json
    """
    batches = (await session.open()).batches
    checkpoint = await batches.checkpoint(job)
    evidence = await batches.evidence(job)
    codes = await batches.failure_codes(job) if checkpoint.counts.failed else {}
    deleted = await batches.deleted_results(job)
    session.out.print_result(
        lambda: schemas.JobDetailOut.from_job_and_evidence(checkpoint, evidence, deleted),
        *_format_lines(session.invocation, checkpoint, evidence, deleted, has_answers=any(codes.values())),
    )
    await session.remind(except_job=job)


@command()
async def pause(session: CommandSession, job: JobArgument) -> None:
    """Pause a job.

    Its workers, on whatever machine, finish their calls in flight and stop. `backstay resume` continues the job.

    \b
    Example:
      backstay pause topics
    """
    backstay = await session.open()
    paused = await backstay.batches.pause(job)
    workers = "; its workers finish their calls in flight" if paused.workers else ""
    _print_state(session, paused, workers)
    session.out.note(f"Continue with: {session.invocation.job_command('resume', job)}")
    await session.remind(except_job=job)


@command()
async def cancel(session: CommandSession, job: JobArgument, yes: Yes = False) -> None:
    """Cancel a job for good.

    Its conversations stay; its remaining items are never processed. Asks on a terminal; elsewhere it needs --yes.

    \b
    Example:
      backstay cancel topics --yes
    """
    if not yes:
        backstay = await session.open()
        record = await backstay.batches.checkpoint(job)
        await session.confirm(f"Cancel {_describe(record)} for good", job_id=job)
    backstay = await session.open()
    _print_state(session, await backstay.batches.cancel(job), "; its conversations stay")
    await session.remind(except_job=job)


@command()
async def discard(session: CommandSession, job: JobArgument, yes: Yes = False) -> None:
    """Discard a job and free its name.

    Its conversations stay; its checkpoint, with the remaining items, is deleted. A new job of the same items would
    process all of them again. Asks on a terminal; elsewhere it needs --yes.

    \b
    Example:
      backstay discard topics --yes
    """
    if not yes:
        await session.confirm(await _discard_question(await session.open(), job), job_id=job)
    backstay = await session.open()
    await backstay.batches.discard(job)
    session.out.print_result(
        lambda: schemas.DiscardOut(id=job), f"{printed_id(job)}: discarded; its conversations stay."
    )
    await session.remind(except_job=job)


async def _discard_question(backstay: "Backstay", job: str) -> str:
    if any(waiting.job_id == job for waiting in await backstay.waiting_imports.list()):
        return f"Discard the imported job {printed_id(job)}"
    record = await backstay.batches.checkpoint(job)
    return f"{_discard_warning(record)}Discard {_describe(record)} and its checkpoint"


def _print_state(session: CommandSession, job: "Job", clause: str) -> None:
    session.out.print_result(
        lambda: schemas.JobOut.from_job(job), f"{printed_id(job.id)}: {reminders.format_job(job)}{clause}."
    )


def _describe(job: "Job") -> str:
    return f"{printed_id(job.id)} ({reminders.format_job(job)})"


def _discard_warning(job: "Job") -> str:
    completed = job.counts.completed
    if not completed or job.regenerates is not None:
        return ""
    stay, them = ("stays", "it") if completed == 1 else ("stay", "them")
    warning = f"{format_count(completed, 'conversation')} of {printed_id(job.id)} {stay} in the library"
    return f"{warning}, and a new job of the same items would generate {them} again. "


def _row(job: "Job") -> tuple[object, ...]:
    counts = job.counts
    settled = f"{counts.settled} of {counts.planned}"
    state = reminders.format_state(job)
    updated = f"{job.updated_at:%Y-%m-%d %H:%M}Z"
    return printed_id(job.id), state, settled, counts.failed, counts.skipped, job.processor, updated


def _waiting_row(job: "WaitingImport") -> tuple[object, ...]:
    return printed_id(job.job_id), "imported", job.settled, job.failed, 0, "", f"{job.imported_at:%Y-%m-%d %H:%M}Z"


def _format_lines(
    invocation: Invocation,
    job: "Job",
    evidence: "Sequence[FailedItem]",
    deleted: "DeletedResults",
    *,
    has_answers: bool,
) -> list[str]:
    from backstay.generate.failure_advice import may_resume

    counts, tokens = job.counts, job.tokens
    lines = [
        f"{printed_id(job.id)}: {reminders.format_job(job)}{_format_deleted(deleted)}",
        f"  items      {counts.completed:,} completed, {counts.failed:,} failed, {counts.skipped:,} skipped, "
        f"{counts.running:,} running, {counts.pending:,} pending",
        f"  tokens     {tokens.tokens_in:,} in, {tokens.tokens_out:,} out",
        f"  processor  {printable(job.processor)}",
        *([f"  recipe     {_format_recipe(job.recipe, job.revision)}"] if job.recipe is not None else []),
        *([f"  replaces   {_format_replaced(job.regenerates)}"] if job.regenerates is not None else []),
        f"  each item  {job.settings.max_attempts} attempts of at most {format_duration(job.settings.timeout_seconds)}",
        *([f"  limits     {_format_limits(job)}"] if job.settings.limits.to_dict() else []),
        f"  created    {format_time(job.created_at)}",
        f"  updated    {format_time(job.updated_at)}",
    ]
    if job.finished_at is not None:
        lines.append(f"  finished   {format_time(job.finished_at)}")
    if job.workers:
        lines.append(f"  workers    {job.workers:,}")
    if job.provider_wait is not None:
        lines.append(f"  waiting    {printable(job.provider_wait.format_message(SystemClock().now()))}")
    if job.pause is not None:
        lines.append(f"  paused     {printable(job.pause.message)} ({printable(job.pause.code)})")
    lines += _pause_lines(invocation, job, evidence)
    if counts.failed and not evidence:
        lines.append(f"  failed     {invocation.job_command('failed', job.id, *(['--raw'] if has_answers else []))}")
    lines += _deleted_lines(invocation, job, deleted)
    if job.processor == "caller" and job.is_incomplete:
        lines.append("  continue with the program that created it: its processor is a function of that program")
    elif job.pause is not None and not may_resume(job.pause.code):
        lines.append(f"  continue with another recipe: {reminders.revise_command(invocation, job.id)}")
    elif job.is_incomplete and job.state != "running":
        lines.append(f"  continue with {invocation.job_command('resume', job.id)}")
    return lines


def _format_deleted(deleted: "DeletedResults") -> str:
    return f", {deleted.items:,} of them deleted" if deleted.items else ""


def _deleted_lines(invocation: Invocation, job: "Job", deleted: "DeletedResults") -> list[str]:
    """Return lines about the conversations that were deleted: how to make them again, and which cannot be."""
    lines = []
    if deleted.with_input and job.state != "cancelled":
        lines.append(f"  deleted    make them again with {invocation.job_command('retry', job.id, '--deleted')}")
    if deleted.without_input:
        lines.append(f"  deleted    {reminders.without_input(deleted.without_input)}")
    return lines


def _format_replaced(regenerates: "RegeneratedJob") -> str:
    return f"conversations of {printed_id(regenerates.id)}, which {regenerates.backup_id} holds"


def _format_limits(job: "Job") -> str:
    limits = job.settings.limits
    bounds = (
        (limits.concurrency, "call", "at once"),
        (limits.rpm, "request", "per minute"),
        (limits.tpm, "token", "per minute"),
    )
    return ", ".join(f"{format_count(value, noun)} {period}" for value, noun, period in bounds if value is not None)


def _pause_lines(invocation: Invocation, job: "Job", evidence: "Sequence[FailedItem]") -> list[str]:
    """Return lines that show one of the answers that caused a pause, and the command that shows all."""
    if not evidence:
        return []
    from backstay.batch.job import MAX_EVIDENCE_ATTEMPTS

    sample, more = evidence[0], " or more" if len(evidence) == MAX_EVIDENCE_ATTEMPTS else ""
    # Most pause messages quote it already.
    is_quoted = job.pause is not None and sample.error_message in job.pause.message
    message = "" if is_quoted else f", {truncate(printable(sample.error_message), _MAX_SAMPLE_CHARACTERS)}"
    return [
        f"  paused on  {printed_id(sample.item_id)} ({sample.state}): {printable(sample.error_code)}{message}",
        f"             {format_count(len(evidence), 'call')}{more} caused the pause: "
        f"{invocation.job_command('failed', job.id, '--raw')}",
    ]


def _format_recipe(recipe: "FrozenRecipe", revision: int | None) -> str:
    from backstay.generate.recipe import fingerprint

    number = f", revision {revision}" if revision is not None and revision > 1 else ""
    return f"{fingerprint(recipe)[:12]}, {recipe.get('turns')} turns{number}"
