"""`backstay failed`, `retry` and `skip`: show the failed items of a job, and change the state of items."""

from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from backstay.batch.deleted_results import DeletedRetryResult
from backstay.cli import key_permission, reminders, schemas
from backstay.cli.command import CommandSession, command
from backstay.cli.commands.conversation_regenerate import confirm_and_start
from backstay.cli.exit_status import ExitStatus
from backstay.cli.invocation import run_async
from backstay.cli.options import AllowKey, JobArgument, Yes
from backstay.cli.output import Output, is_terminal
from backstay.cli.text import format_count, printable, printable_lines
from backstay.errors import EmptySelection, SettingsError
from backstay.library.id_text import parse_printed_id, printed_id

if TYPE_CHECKING:
    from backstay.batch.item import FailedItem


@command()
async def failed(
    session: CommandSession,
    job: JobArgument,
    raw: Annotated[bool, typer.Option("--raw", help="Also show the raw answer.")] = False,
    traceback: Annotated[bool, typer.Option("--traceback", help="Also show the processor's traceback.")] = False,
) -> None:
    """List the failed items of a job.

    Shows each with its last attempt. If the job paused by itself, the answers that made it pause follow, marked
    `paused on`. The items that they belong to have not failed.

    In a pipe, without --raw and --traceback: one failed item per line, tabs between id, error code, attempts, time,
    topic and message; lines marked `paused on` are left out.

    \b
    Examples:
      backstay failed topics
      backstay failed topics --raw
      backstay failed topics --traceback
      backstay failed topics --json > failed.json
      backstay failed topics | cut -f1 | tr '\\n' '\\0' | xargs -0r backstay retry topics
    """
    backstay, out = await session.open(), session.out
    failures = backstay.batches.failed(job)
    evidence = await backstay.batches.evidence(job)
    if out.as_json:
        pauses = {"pauseEvidence": [schemas.PauseEvidenceOut.from_failure(failure) for failure in evidence]}
        listed = (schemas.FailureOut.from_failure(failure) async for failure in failures)
        await out.print_json_list("items", listed, others=pauses)
    else:
        count = 0
        has_answers = any(failure.raw for failure in evidence)
        async for failure in failures:
            count += 1
            has_answers = has_answers or bool(failure.raw)
            _print_failure(out, failure, raw=raw, traceback=traceback)
        if raw or traceback or is_terminal(1):
            for failure in evidence:
                _print_failure(out, failure, raw=raw, traceback=traceback, mark="paused on ")
        paused_on = f"; paused on {format_count(len(evidence), 'answer')}" if evidence else ""
        out.note(f"{format_count(count, 'failed item')}{paused_on}.")
        if has_answers and not raw:
            out.note(f"Show the answers: {session.invocation.job_command('failed', job, '--raw')}")
    await session.remind(except_job=job)


@command()
def retry(
    session: CommandSession,
    job: JobArgument,
    items: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="ITEM",
            help="Ids of failed items, or of items whose conversations were deleted [default: all failed ones].",
            parser=parse_printed_id,
        ),
    ] = None,
    failed: Annotated[bool, typer.Option("--failed", help="Return all failed items, as by default.")] = False,
    deleted: Annotated[
        bool, typer.Option("--deleted", help="Return all items whose conversations were deleted.")
    ] = False,
    rejected: Annotated[
        bool, typer.Option("--rejected", help="Make the rejected conversations again, in a job of their own.")
    ] = False,
    allow_key: AllowKey = None,
    yes: Yes = False,
) -> int:
    """Return failed items to pending, or those whose conversations were deleted.

    `backstay resume` then processes them.

    With --rejected, it shows a plan, asks, backs up the rejected conversations, and creates a job such as
    topics-again-1. `backstay resume` runs that job: each rejected conversation stays until its new one takes its place.
    `backstay conversations regenerate` can do so with another recipe or model.

    \b
    Examples:
      backstay retry topics
      backstay retry topics topic-17 topic-42
      backstay retry topics --deleted
      backstay retry topics --rejected --yes
    """
    if failed + deleted + rejected + bool(items) > 1:
        raise SettingsError("Choose one of --failed, --deleted, --rejected and ids of items", setting="retry")
    if rejected:
        work = partial(_retry_rejected, session, job, yes=yes)
        return key_permission.with_permission(lambda: run_async(session.run(work())), allow_key)
    return run_async(session.run(_retry(session, job, items, deleted=deleted)))


async def _retry(session: CommandSession, job: str, items: list[str] | None, *, deleted: bool) -> ExitStatus:
    batches = (await session.open()).batches
    if deleted:
        result = await batches.retry_deleted(job)
    else:
        result = DeletedRetryResult(await batches.retry(job, items or None), without_input=0)
    noun = "item" if deleted or items else "failed item"
    reason = " to make the deleted conversations again" if deleted and result.retried else ""
    count, after = result.retried, await batches.checkpoint(job)
    session.out.print_result(
        lambda: schemas.RetryOut(job=schemas.JobOut.from_job(after), retried=count, without_input=result.without_input),
        f"{printed_id(job)}: {format_count(count, noun)} returned to pending{reason}.",
    )
    if result.without_input:
        session.out.note(reminders.without_input(result.without_input))
    if not (deleted or count) and (lost := (await batches.deleted_results(job)).with_input):
        command = session.invocation.job_command("retry", job, "--deleted")
        session.out.note(f"To make {format_count(lost, 'deleted conversation')} again: {command}")
    if count and after.state != "running":
        session.out.note(f"Continue with: {session.invocation.job_command('resume', job)}")
    await session.remind(except_job=job)
    return ExitStatus.DONE


async def _retry_rejected(session: CommandSession, job: str, *, yes: bool) -> ExitStatus:
    """Create the job that makes the rejected conversations of a job again."""
    from backstay.library.review import ReviewStatus
    from backstay.library.selection import Selection

    regenerations = (await session.open()).regenerations
    created, count = job, 0
    try:
        plan = await regenerations.plan(Selection(job_id=job, status=ReviewStatus.REJECTED))
        created = (await confirm_and_start(session, plan, yes=yes)).job_ids[0]
        count = plan.conversations
    except EmptySelection:
        pass  # no conversation is rejected, or the job does not exist, which the next line reports
    after = await (await session.open()).batches.checkpoint(created)
    session.out.print_result(
        lambda: schemas.RetryOut(job=schemas.JobOut.from_job(after), retried=count),
        f"{printed_id(created)}: {format_count(count, 'rejected conversation')} of {printed_id(job)} to make again.",
    )
    if count:
        session.out.note(f"Continue with: {session.invocation.job_command('resume', created)}")
    await session.remind(except_job=created)
    return ExitStatus.DONE


@command()
async def skip(
    session: CommandSession,
    job: JobArgument,
    items: Annotated[
        list[str], typer.Argument(metavar="ITEM", help="Ids of pending or failed items.", parser=parse_printed_id)
    ],
) -> None:
    """Skip items of a job.

    Use it, for instance, for the item on which a job pauses each time it is resumed. If one of the items is running,
    completed or already skipped, none is skipped.

    \b
    Examples:
      backstay skip topics topic-17
      backstay skip topics topic-17 topic-42 --json
    """
    batches = (await session.open()).batches
    count = await batches.skip(job, items)
    after = await batches.checkpoint(job)
    session.out.print_result(
        lambda: schemas.SkipOut(job=schemas.JobOut.from_job(after), skipped=count),
        f"{printed_id(job)}: {format_count(count, 'item')} skipped; {reminders.format_job(after)}.",
    )
    if after.is_incomplete and after.state != "running":
        session.out.note(f"Continue with: {session.invocation.job_command('resume', job)}")
    await session.remind(except_job=job)


def _print_failure(out: Output, failure: "FailedItem", *, raw: bool, traceback: bool, mark: str = "") -> None:
    cells = (printed_id(failure.item_id), failure.error_code, failure.attempts, failure.failed_at)
    if not raw and not traceback and not is_terminal(1):
        out.line("\t".join(printable(cell) for cell in (*cells, failure.topic or "", failure.error_message)))
        return
    item, code, attempts, moment = (printable(cell) for cell in cells)
    state = f" ({failure.state})" if mark else ""
    edited = "; edited since, not retried yet" if failure.edited_since else ""
    out.line(f"{mark}{item}{state}  {code}, attempt {attempts}, {moment}{edited}")
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
