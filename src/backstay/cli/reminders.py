"""Reminders of unfinished jobs, next steps after a pause, and a job's state as text."""

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from backstay.cli.invocation import Invocation
from backstay.cli.output import Output
from backstay.cli.text import format_count, printable
from backstay.clock import SystemClock
from backstay.errors import BackstayError
from backstay.library.id_text import printed_id

if TYPE_CHECKING:
    from backstay.app import Backstay
    from backstay.batch.job import Job, Pause
    from backstay.other_owners import OwnedKind

_MAX_NAMED_JOBS = 5
_MAX_JOBS_READ = 100
_STAMP_FILE = "reminded"
_DAY_SECONDS = 86_400


async def remind(
    invocation: Invocation, out: Output, backstay: "Backstay", *, except_job: str | None = None, always: bool = False
) -> None:
    """Print one line about unfinished jobs, other than `except_job`.

    Unless `always`, at most once a day for each library, and never if the time of the reminder cannot be stored.
    """
    if out.as_json:
        return
    # The command has done its work; a failed reminder must not make it fail.
    with suppress(BackstayError, OSError):
        stamp = backstay.settings.folder / _STAMP_FILE
        if not always and _is_recent(stamp):
            return
        from backstay.batch.job import JobState

        jobs = await backstay.batches.incomplete(limit=_MAX_JOBS_READ)
        waiting = [job for job in jobs if job.id != except_job and job.state is not JobState.RUNNING]
        if waiting and not always:
            stamp.touch()
        if waiting:
            out.note(_reminder(invocation, waiting, are_all=len(jobs) < _MAX_JOBS_READ))


def _is_recent(stamp: Path) -> bool:
    try:
        return abs(SystemClock().now().timestamp() - stamp.stat().st_mtime) < _DAY_SECONDS
    except FileNotFoundError:
        return False


async def mention_other_owners(out: Output, backstay: "Backstay", noun: "OwnedKind") -> None:
    """Print how many records other owners have. Called if this owner has none, as another one may be meant."""
    if out.as_json:
        return
    # As in `remind`: the command has done its work.
    with suppress(BackstayError):
        others = await backstay.count_other_owners(noun)
        if others.count:
            owner, has = printable(backstay.settings.owner), "has" if others.owners == 1 else "have"
            owners, count = format_count(others.owners, "owner"), format_count(others.count, noun)
            out.note(f"{owners} other than {owner!r} {has} {count}; name one with --owner.")


def _reminder(invocation: Invocation, jobs: "list[Job]", *, are_all: bool) -> str:
    summaries = ", ".join(f"{printed_id(job.id)} ({format_job(job)})" for job in jobs[:_MAX_NAMED_JOBS])
    more = f" and {len(jobs) - _MAX_NAMED_JOBS} more" if len(jobs) > _MAX_NAMED_JOBS else ""
    resume = invocation.job_command("resume", jobs[0].id) if len(jobs) == 1 else invocation.command("resume") + " JOB"
    if all(job.processor == "caller" for job in jobs):
        resume = f"the program{'' if len(jobs) == 1 else 's'} that created {'it' if len(jobs) == 1 else 'them'}"
    at_least = "" if are_all else "at least "
    return f"{at_least}{format_count(len(jobs), 'unfinished job')}: {summaries}{more}; continue with: {resume}"


def next_step_after_pause(invocation: Invocation, name: str, pause: "Pause | None") -> str:
    """Return the next step after a pause: resume the job, with another recipe if it cannot succeed with its own."""
    from backstay.generate.failure_advice import may_have_wrong_url, may_resume

    if pause is None or may_resume(pause.code):
        step = f"Continue with: {invocation.resume_command(name)}"
        if pause is not None and may_have_wrong_url(pause.code):
            step += f"; at another address with: {invocation.job_command('resume', name, '--base-url', 'URL')}"
        return step
    return f"Continue with another recipe: {revise_command(invocation, name)}"


def revise_command(invocation: Invocation, name: str) -> str:
    """Return the command that resumes a job with another recipe, whose file the user has to name."""
    return invocation.job_command("resume", name, "--recipe", "FILE")


async def has_answers(backstay: "Backstay", name: str) -> bool:
    """Return whether answers are stored for a job's failed items, or for its pause."""
    if any((await backstay.batches.failure_codes(name)).values()):
        return True
    return any(failure.raw is not None for failure in await backstay.batches.evidence(name))


def without_input(count: int) -> str:
    """Return the sentence about items that cannot be made again."""
    items, them = format_count(count, "item"), "it" if count == 1 else "them"
    return f"an earlier version removed the inputs of {items}; restore the backup, or run {them} in a new job"


def format_job(job: "Job") -> str:
    """Return `interrupted, 40 of 120`."""
    return f"{format_state(job)}, {job.counts.settled:,} of {job.counts.planned:,}"


def format_state(job: "Job") -> str:
    return str(job.state).replace("_", " ")
