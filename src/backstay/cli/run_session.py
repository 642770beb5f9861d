"""One run of a job with its progress, signals and summary; `run` and `resume` share it."""

import contextlib
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from backstay.cli import process_tuning, reminders, schemas
from backstay.cli.command import CommandSession
from backstay.cli.exit_status import ExitStatus, status_of_result
from backstay.cli.index_update import update_index
from backstay.cli.interruption import SignalHandling
from backstay.cli.invocation import run_async
from backstay.cli.options import BadRowOptions
from backstay.cli.output import OutputClosed
from backstay.cli.progress import ProgressView, format_tokens, job_progress_view
from backstay.cli.remedies import full_message
from backstay.cli.text import format_count, format_duration, printable
from backstay.errors import CommitUnknown, StorageError, StoreBusy, StoreUnavailable
from backstay.library.id_text import printed_id

if TYPE_CHECKING:
    from backstay.app import Backstay
    from backstay.batch.progress import JobProgress
    from backstay.batch.runner import BatchResult
    from backstay.batch.stop_signal import StopSignal

# A run that was asked to stop ends at once on these errors; the job is intact.
_TRANSIENT_ERRORS = (StoreBusy, StoreUnavailable, CommitUnknown)

SCRIPTED_NOTE = "The built-in scripted writer composes these conversations; no model is called."


@dataclass(frozen=True, slots=True)
class RunContext:
    """The session, progress view and stop signal of a run, its options for bad rows, and what takes its result."""

    session: CommandSession
    progress_view: "ProgressView[JobProgress]"
    stop: "StopSignal"
    bad_rows: BadRowOptions
    print_json: "Collect"


Begin = Callable[["Backstay", RunContext], Awaitable["BatchResult"]]
Collect = Callable[["schemas.RunOut"], None]


def supervise(
    session: CommandSession,
    begin: Begin,
    *,
    name: str,
    bad_rows: BadRowOptions,
    create: bool = False,
    is_resumed: bool = False,
    collect: Collect | None = None,
) -> ExitStatus:
    """Run a job to its end, print the summary, and return the exit status.

    With `collect`, that receives the object instead of printing it as JSON.
    """
    from backstay.batch.stop_signal import StopSignal

    context = RunContext(
        session, job_progress_view(session.out, name), StopSignal(), bad_rows, collect or session.out.print_json
    )
    process_tuning.raise_file_limit()
    process_tuning.tune_garbage_collector()

    def farewell() -> str:
        return f"Stopped at once; all finished items are stored. {_resume_hint(context)}".rstrip()

    interruption = SignalHandling(
        stop=context.stop, progress_view=context.progress_view, farewell=farewell, json_logs=session.out.json_logs
    )
    with interruption:
        return run_async(_supervise(context, begin, create=create, is_resumed=is_resumed), interruption.watch)


async def _supervise(context: RunContext, begin: Begin, *, create: bool, is_resumed: bool) -> ExitStatus:
    session, out, result = context.session, context.session.out, None
    try:
        async with session.invocation.open(create=create) as backstay:
            # What a processor prints is not the command's result, so it goes to standard error.
            with context.progress_view, contextlib.redirect_stdout(sys.stderr):
                result = await begin(backstay, context)
            # The run is over, whether or not its summary is read.
            with contextlib.suppress(OutputClosed):
                await _conclude(context, backstay, result, is_resumed=is_resumed)
            await update_index(backstay, is_stopped=lambda: context.stop.requested)
    except StorageError as error:
        if result is not None:
            raise
        resume = _resume_hint(context)
        if context.stop.requested and isinstance(error, _TRANSIENT_ERRORS):
            reason = printable(full_message(session.invocation, error))
            out.note(f"Interrupted; everything stored is kept. {reason}. {resume}".rstrip(), always=True)
            return ExitStatus.INTERRUPTED
        if resume:
            out.note(resume, always=True)
        raise
    return status_of_result(result)


async def _conclude(context: RunContext, backstay: "Backstay", result: "BatchResult", *, is_resumed: bool) -> None:
    session, out = context.session, context.session.out
    if out.as_json:
        job = await backstay.batches.checkpoint(result.job_id)
        context.print_json(schemas.RunOut.from_result(job, result, out.input_notes))
    out.line(_summary(result))
    if result.created is not None and result.created.added:
        out.note(f"{format_count(result.created.added, 'new item')} added.")
    if result.created is not None and result.created.repeated:
        out.note(
            f"{format_count(result.created.repeated, 'row')} of the input repeated an earlier one; each counts once."
        )
    context.bad_rows.report(out, result.bad_rows)
    await _print_next_step(session, backstay, result)
    # After a resume, always list the remaining jobs.
    await reminders.remind(session.invocation, out, backstay, except_job=result.job_id, always=is_resumed)


def _resume_hint(context: RunContext) -> str:
    """Return the command that continues an unfinished run; nothing if it never began."""
    latest = context.progress_view.latest
    return f"Continue with: {context.session.invocation.resume_command(latest.job_id)}" if latest is not None else ""


def _summary(result: "BatchResult") -> str:
    counts, tokens = result.counts, result.tokens
    text = (
        f"{printed_id(result.job_id)}: {counts.completed:,} of {counts.planned:,} completed, "
        f"{counts.failed:,} failed, {counts.skipped:,} skipped"
    )
    if tokens.tokens_in or tokens.tokens_out:
        text += f", {format_tokens(tokens.tokens_in, tokens.tokens_out)}"
    if result.did_nothing:
        return f"{text}; already finished, nothing to do"
    return f"{text} in {format_duration(result.seconds)}"


async def _print_next_step(session: CommandSession, backstay: "Backstay", result: "BatchResult") -> None:
    invocation, out = session.invocation, session.out
    status, name = status_of_result(result), result.job_id
    job = await backstay.batches.checkpoint(name)
    resume = f"Continue with: {invocation.resume_command(name)}"
    match status:
        case ExitStatus.INTERRUPTED:
            out.note(f"Interrupted; all finished items are stored. {resume}", always=True)
        case ExitStatus.LIMIT:
            out.note(f"Stopped at the limit. {resume}", always=True)
        case ExitStatus.PAUSED:
            reason = f": {printable(result.pause.message)}" if result.pause else ""
            out.note(f"Paused{reason}. {reminders.next_step_after_pause(invocation, name, result.pause)}", always=True)
            if await reminders.has_answers(backstay, name):
                out.note(f"Show the answers: {invocation.job_command('failed', name, '--raw')}")
        case ExitStatus.WITH_FAILURES:
            from backstay.generate.failure_advice import may_try_again

            codes = await backstay.batches.failure_codes(name)
            out.note(
                "Show why they failed: "
                + invocation.job_command("failed", name, *(["--raw"] if any(codes.values()) else []))
            )
            if any(may_try_again(code) for code in codes):
                out.note(f"Retry them with: {invocation.resume_command(name, '--retry-failed')}")
        case ExitStatus.ERROR:
            out.note(
                f"Cancelled; its conversations stay. Free its name with: {invocation.job_command('discard', name)}"
            )
        case _ if result.completed:
            source = job.regenerates.id if job.regenerates is not None else name
            export = ("conversations", "export", "--job", printed_id(source), "-o", "conversations.jsonl")
            out.note(f"Export them with: {invocation.command(*export)}")
    if job.regenerates is not None and result.completed:
        undo = invocation.command("conversations", "regenerate", "--undo", job.regenerates.backup_id)
        out.note(f"Undo with: {undo}")
