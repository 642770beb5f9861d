"""What is unfinished, and who is at work."""

from collections.abc import Iterator, Sequence

from backstay.batch import liveness
from backstay.batch.job import TAKEN_OVER, JobState, format_how_to_resume
from backstay.batch.processor import CALLER
from backstay.doctor.check import Check, CheckLevel
from backstay.storage.sql.inspection import DatabaseReport, UnfinishedJob

_NAMED = 5  # of many jobs


def check_work(found: DatabaseReport) -> Iterator[Check]:
    """Check what a database says of jobs, workers and deletes."""
    dead = [holder for holder in found.leaseholders if liveness.is_proven_dead(holder.identity)]
    alive = {(holder.owner, holder.job_id) for holder in found.leaseholders if holder not in dead}
    working = {job_id for _, job_id in alive}
    unfinished = [
        f"{job.id} ({'interrupted' if job.state == 'running' and job.id not in working else job.state}, "
        f"{job.settled} {'taken over' if _lacks_items(job) else f'of {job.planned}'})"
        for job in found.unfinished
    ]
    if unfinished:
        waiting = any(job.id not in working for job in found.unfinished)
        remedy = _remedy([job for job in found.unfinished if job.id not in working]) if waiting else None
        more = f" and {len(unfinished) - _NAMED:,} more" if len(unfinished) > _NAMED else ""
        text = f"unfinished: {', '.join(unfinished[:_NAMED])}{more}"
        yield Check("jobs", CheckLevel.WARNING if waiting else CheckLevel.OK, text, remedy)
    else:
        yield Check("jobs", CheckLevel.OK, "none is unfinished")
    for holder in dead:
        text = f"process {holder.identity.pid} on {holder.identity.host} died while it worked on {holder.job_id}"
        yield Check("workers", CheckLevel.WARNING, text, "the next resume of that job takes its items back")
    yield Check("workers", CheckLevel.OK, f"{len(found.leaseholders) - len(dead)} at work")
    for name, is_damaged in found.unfinished_deletes:
        text = f"the delete of {name} is unfinished{', and that backup is damaged' if is_damaged else ''}"
        remedy = (
            f"`backstay conversations delete --continue {name}` goes on, `backstay backups restore {name}` undoes it"
        )
        if is_damaged:
            verify = f"put back a copy of its file, then `backstay backups verify {name}`"
            remedy = f"{verify}; `backstay backups delete {name}` gives it up"
        yield Check("deletes", CheckLevel.WARNING, text, remedy)


def check_others(found: DatabaseReport, owner: str) -> Iterator[Check]:
    """Count what other owners have: perhaps one of them was meant."""
    counts = [f"{_format_count(one.count, one.kind)} ({_format_count(one.owners, 'owner')})" for one in found.others]
    if counts:
        remedy = "name another owner with --owner or BACKSTAY_OWNER"
        yield Check("owners", CheckLevel.OK, f"owners other than {owner!r} have {', '.join(counts)}", remedy)


def _format_count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _remedy(waiting: Sequence[UnfinishedJob]) -> str:
    remedies = []
    if any(job.processor != CALLER and not _lacks_items(job) for job in waiting):
        remedies.append("`backstay resume JOB` goes on with one")
    elif any(job.processor == CALLER for job in waiting):
        remedies.append("run the program that made it again")
    if taken := [job.id for job in waiting if _lacks_items(job)]:
        remedies.append(format_how_to_resume(taken[0] if len(taken) == 1 else "JOB"))
    return "; of what was taken over: ".join(remedies)


def _lacks_items(job: UnfinishedJob) -> bool:
    return job.processor == TAKEN_OVER and job.state == JobState.PAUSED
