"""Where jobs stand, in words, and the reminder that some are unfinished."""

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from backstay.cli.invocation import Invocation
from backstay.cli.output import Output
from backstay.cli.text import format_count, printable
from backstay.clock import SystemClock
from backstay.errors import BackstayError
from backstay.library.id_text import printed_id, typed_id

if TYPE_CHECKING:
    from backstay.app import Backstay
    from backstay.batch.job import Job, Pause
    from backstay.coordination.store import OwnedKind

_NAMED = 5
_LOOKED_AT = 100
_STAMP = "reminded"
_DAY_SECONDS = 86_400


async def remind(
    invocation: Invocation, out: Output, backstay: "Backstay", *, about: str | None = None, always: bool = False
) -> None:
    """Say in one line which jobs are unfinished, other than the one that the command was about.

    Once a day in a folder with a library, unless `always`; never where the time cannot be stored.
    """
    if out.as_json:
        return
    # The command has done its work: a reminder that cannot be made is no reason to call it failed.
    with suppress(BackstayError, OSError):
        stamp = backstay.settings.folder / _STAMP
        if not always and _is_recent(stamp):
            return
        from backstay.batch.job import JobState

        jobs = await backstay.batches.incomplete(limit=_LOOKED_AT)
        waiting = [job for job in jobs if job.id != about and job.state is not JobState.RUNNING]
        if waiting and not always:
            stamp.touch()
        if waiting:
            out.note(_reminder(invocation, waiting))


def _is_recent(stamp: Path) -> bool:
    try:
        return abs(SystemClock().now().timestamp() - stamp.stat().st_mtime) < _DAY_SECONDS
    except FileNotFoundError:
        return False


async def mention_other_owners(out: Output, backstay: "Backstay", noun: "OwnedKind") -> None:
    """Say how much other owners have, for an owner who has nothing: perhaps another one was meant."""
    if out.as_json:
        return
    # Like a reminder: the command has already answered.
    with suppress(BackstayError):
        found = await backstay.count_other_owners(noun)
        if found.count:
            owner, has = printable(backstay.settings.owner), "has" if found.owners == 1 else "have"
            owners, count = format_count(found.owners, "owner"), format_count(found.count, noun)
            out.note(f"{owners} other than {owner!r} {has} {count}; name one with --owner.")


def _reminder(invocation: Invocation, jobs: "list[Job]") -> str:
    named = ", ".join(f"{printed_id(job.id)} ({format_job(job)})" for job in jobs[:_NAMED])
    more = f" and {len(jobs) - _NAMED} more" if len(jobs) > _NAMED else ""
    resume = invocation.about("resume", jobs[0].id) if len(jobs) == 1 else invocation.command("resume") + " JOB"
    if all(job.lacks_items for job in jobs):
        name = typed_id(jobs[0].id) if len(jobs) == 1 else "JOB"
        resume = f"{invocation.command('run')} FILE --job {name}, where FILE has all its items"
    elif all(job.processor == "caller" for job in jobs):
        resume = f"the program{'' if len(jobs) == 1 else 's'} that made {'it' if len(jobs) == 1 else 'them'}"
    at_least = "at least " if len(jobs) >= _LOOKED_AT - 1 else ""
    return f"{at_least}{format_count(len(jobs), 'unfinished job')}: {named}{more}; continue with: {resume}"


def after_pause(invocation: Invocation, name: str, pause: "Pause | None") -> str:
    """Say what comes after a pause: going on, or another job where this one cannot come to anything."""
    from backstay.generate.advice import may_resume

    if pause is None or may_resume(pause.code):
        return f"Resume with: {invocation.resuming(name)}"
    return f"Discard it with: {invocation.about('discard', name)}"


async def has_answers(backstay: "Backstay", name: str) -> bool:
    """Return whether answers were kept that failed items of a job, or its pause, ended in."""
    if any((await backstay.batches.failure_codes(name)).values()):
        return True
    return any(failure.raw is not None for failure in await backstay.batches.evidence(name))


def format_job(job: "Job") -> str:
    """Return `interrupted, 40 of 120`."""
    return f"{format_state(job)}, {format_settled(job)}"


def format_settled(job: "Job") -> str:
    """Return `40 of 120`; of a job that was taken over nobody knows yet of how many."""
    settled = f"{job.counts.settled:,}"
    return f"{settled} taken over" if job.lacks_items else f"{settled} of {job.counts.planned:,}"


def format_state(job: "Job") -> str:
    return str(job.state).replace("_", " ")
