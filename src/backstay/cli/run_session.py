"""What `run` and `resume` share: a run with its progress and its signals, and what is said about it afterwards."""

import contextlib
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from backstay.cli import gc_tuning, reminders
from backstay.cli.exits import ExitStatus, status_of_result
from backstay.cli.file_limits import raise_file_limit
from backstay.cli.interruption import SignalHandling
from backstay.cli.invocation import Invocation, run_async
from backstay.cli.output import Output, OutputClosed
from backstay.cli.progress import RunProgressView, format_tokens, run_progress_view
from backstay.cli.text import format_count, format_duration, printable
from backstay.errors import CommitUnknown, StorageError, StoreBusy, StoreUnavailable
from backstay.library.id_text import printed_id

if TYPE_CHECKING:
    from backstay.app import Backstay
    from backstay.batch.result import BatchResult
    from backstay.batch.stop import StopSignal

# A run that was asked to stop does not wait for these to pass; nothing is wrong with the job.
_HELD_UP = (StoreBusy, StoreUnavailable, CommitUnknown)

SCRIPTED = "The built-in scripted writer composes these conversations; no model is called."


@dataclass(frozen=True, slots=True)
class RunContext:
    """What a run is handed: whom to tell, and what may stop it."""

    watcher: RunProgressView
    stop: "StopSignal"


Begin = Callable[["Backstay", RunContext], Awaitable["BatchResult"]]


def supervise(
    invocation: Invocation, out: Output, begin: Begin, *, name: str, create: bool = False, is_resumed: bool = False
) -> ExitStatus:
    """Let a run work to its end, say what it came to, and return the status to exit with."""
    from backstay.batch.stop import StopSignal

    live = RunContext(run_progress_view(out, name), StopSignal())
    raise_file_limit()
    gc_tuning.tune_garbage_collector()

    def farewell() -> str:
        return f"Left at once; everything finished is kept. {_resume(invocation, live)}".rstrip()

    interruption = SignalHandling(stop=live.stop, watcher=live.watcher, farewell=farewell, json_logs=out.json_logs)
    with interruption:
        return run_async(
            _supervise(invocation, out, begin, live, create=create, is_resumed=is_resumed), interruption.watch
        )


async def _supervise(
    invocation: Invocation, out: Output, begin: Begin, live: RunContext, *, create: bool, is_resumed: bool
) -> ExitStatus:
    result = None
    try:
        async with invocation.open(create=create) as backstay:
            # What a processor prints is not our result: it goes where diagnostics go.
            with live.watcher, contextlib.redirect_stdout(sys.stderr):
                result = await begin(backstay, live)
            # The run is over, whether or not anybody reads what it came to.
            with contextlib.suppress(OutputClosed):
                await _conclude(invocation, out, backstay, result, is_resumed=is_resumed)
    except StorageError as error:
        if result is not None:
            raise
        resume = _resume(invocation, live)
        if live.stop.requested and isinstance(error, _HELD_UP):
            out.note(
                f"Interrupted; everything stored is kept. {printable(error.message)}. {resume}".rstrip(), always=True
            )
            return ExitStatus.INTERRUPTED
        if resume:
            out.note(resume, always=True)
        raise
    return status_of_result(result)


async def _conclude(
    invocation: Invocation, out: Output, backstay: "Backstay", result: "BatchResult", *, is_resumed: bool
) -> None:
    if out.as_json:
        from backstay.schemas import RunOut

        out.answer(RunOut.from_result(await backstay.batches.checkpoint(result.job_id), result))
    out.line(_summary(result))
    if result.created is not None and result.created.added:
        out.note(f"{format_count(result.created.added, 'new item')} added.")
    if result.created is not None and result.created.repeated:
        out.note(
            f"{format_count(result.created.repeated, 'row')} of the input repeated an earlier one; each counts once."
        )
    await _say_next(invocation, out, backstay, result)
    # After a resume, always list what is left.
    await reminders.remind(invocation, out, backstay, about=result.job_id, always=is_resumed)


def _resume(invocation: Invocation, live: RunContext) -> str:
    """Return how to go on with a run that did not come to its end; nothing when it never began."""
    latest = live.watcher.latest
    return f"Resume with: {invocation.resuming(latest.job_id)}" if latest is not None else ""


def _summary(result: "BatchResult") -> str:
    counts, tokens = result.counts, result.tokens
    told = (
        f"{printed_id(result.job_id)}: {counts.completed:,} of {counts.planned:,} completed, "
        f"{counts.failed:,} failed, {counts.skipped:,} skipped"
    )
    if tokens.tokens_in or tokens.tokens_out:
        told += f", {format_tokens(tokens.tokens_in, tokens.tokens_out)}"
    if result.did_nothing:
        return f"{told}; it was finished before, nothing to do"
    return f"{told} in {format_duration(result.seconds)}"


async def _say_next(invocation: Invocation, out: Output, backstay: "Backstay", result: "BatchResult") -> None:
    status, name = status_of_result(result), result.job_id
    resume = f"Resume with: {invocation.resuming(name)}"
    match status:
        case ExitStatus.INTERRUPTED:
            out.note(f"Interrupted; everything finished is kept. {resume}", always=True)
        case ExitStatus.LIMIT:
            out.note(f"Stopped at the limit. {resume}", always=True)
        case ExitStatus.PAUSED:
            reason = f": {printable(result.pause.message)}" if result.pause else ""
            out.note(f"Paused{reason}. {reminders.after_pause(invocation, name, result.pause)}", always=True)
            if await reminders.has_answers(backstay, name):
                out.note(f"Show the answers: {invocation.about('failed', name, '--raw')}")
        case ExitStatus.WITH_FAILURES:
            from backstay.generate.advice import may_try_again

            codes = await backstay.batches.failure_codes(name)
            out.note(
                f"Why they failed: {invocation.about('failed', name, *(['--raw'] if any(codes.values()) else []))}"
            )
            if any(may_try_again(code) for code in codes):
                out.note(f"Try them again: {invocation.resuming(name, '--retry-failed')}")
        case ExitStatus.ERROR:
            out.note(f"Cancelled; its conversations stay. Free its name with: {invocation.about('discard', name)}")
        case _ if result.completed:
            export = ("conversations", "export", "--job", printed_id(name), "-o", "conversations.jsonl")
            out.note(f"Export them with: {invocation.command(*export)}")
