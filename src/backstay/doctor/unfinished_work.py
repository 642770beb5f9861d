"""Checks of unfinished jobs and deletes, and of workers."""

from collections.abc import Iterator, Sequence

from backstay.batch import liveness
from backstay.batch.processor import CALLER
from backstay.doctor.check import Check, CheckLevel, format_first
from backstay.remedy import Remedy
from backstay.storage.sql.database_report import DatabaseReport, UnfinishedJob


def check_work(report: DatabaseReport, owner: str) -> Iterator[Check]:
    """Check the jobs and deletes of an owner, and all workers."""
    dead = [holder for holder in report.leaseholders if liveness.is_proven_dead(holder.identity)]
    jobs_in_work = {holder.job_id for holder in report.leaseholders if holder.owner == owner and holder not in dead}
    unfinished = [
        f"{job.id} ({'interrupted' if job.state == 'running' and job.id not in jobs_in_work else job.state}, "
        f"{job.settled} of {job.planned})"
        for job in report.unfinished
    ]
    if unfinished:
        idle = [job for job in report.unfinished if job.id not in jobs_in_work]
        message = f"unfinished: {format_first(unfinished)}"
        yield _check_idle(idle, message) if idle else Check("jobs", CheckLevel.OK, message)
    else:
        yield Check("jobs", CheckLevel.OK, "none is unfinished")
    if waits := [f"{job.job_id} ({job.settled} settled)" for job in report.waiting_imports]:
        text = f"imported, without their items yet: {format_first(waits)}"
        context = {"job_id": report.waiting_imports[0].job_id if len(waits) == 1 else "JOB"}
        yield Check("imports", CheckLevel.WARNING, text, Remedy.RUN_IMPORTED_JOB, context)
    for holder in dead:
        message = f"process {holder.identity.pid} on {holder.identity.host} died while it worked on {holder.job_id}"
        yield Check("workers", CheckLevel.WARNING, message, "the next resume of that job returns its items to pending")
    yield Check("workers", CheckLevel.OK, f"{len(report.leaseholders) - len(dead)} at work")
    for name, is_damaged in report.unfinished_deletes:
        message = f"the delete of {name} is unfinished{', and that backup is damaged' if is_damaged else ''}"
        remedy = Remedy.REPLACE_OR_ABANDON if is_damaged else Remedy.RESUME_OR_UNDO_DELETE
        yield Check("deletes", CheckLevel.WARNING, message, remedy, {"backup_id": name})


def check_counters(miscounted_jobs: Sequence[str]) -> Check:
    """Return a check that the counters of all jobs equal their items."""
    if miscounted_jobs:
        message = f"the counters of these jobs differ from their items: {', '.join(miscounted_jobs)}"
        remedy = "this is a bug in Backstay; conversations are not affected"
        return Check("counters", CheckLevel.PROBLEM, message, remedy)
    return Check("counters", CheckLevel.OK, "every job's counters equal its items")


def check_others(report: DatabaseReport, owner: str) -> Iterator[Check]:
    """Count the jobs, conversations and backups of other owners, in case the user meant another owner."""
    counts = [
        f"{_format_count(other.count, other.kind)} ({_format_count(other.owners, 'owner')})" for other in report.others
    ]
    if counts:
        message = f"owners other than {owner!r} have {', '.join(counts)}"
        yield Check("owners", CheckLevel.OK, message, Remedy.NAME_OWNER)


def _format_count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _check_idle(idle: Sequence[UnfinishedJob], message: str) -> Check:
    resumable = [job.id for job in idle if job.processor != CALLER]
    if not resumable:
        return Check("jobs", CheckLevel.WARNING, message, "run again the program that created it")
    context = {"job_id": resumable[0] if len(resumable) == 1 else "JOB"}
    return Check("jobs", CheckLevel.WARNING, message, Remedy.RESUME_JOB, context)
