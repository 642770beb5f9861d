"""Jobs and their items."""

import math
from collections.abc import Callable, Sequence
from typing import Any, Self

from pydantic import Field

from backstay.batch.checkpoint import ProviderWait
from backstay.batch.item import FailedItem, FailureEvent, ItemSummary
from backstay.batch.job import Job
from backstay.batch.result import BatchResult
from backstay.schemas.base import ApiObject, Moment

_NOT_ALL = 99.9  # of a job that was taken over: something is left, and nobody knows yet how much


class PauseOut(ApiObject):
    code: str
    message: str


class WaitingOut(ApiObject):
    """What all calls of a job wait for: `reason` and `detail` are for people, `until` is when the next one is made."""

    reason: str
    detail: str
    until: Moment


class JobOut(ApiObject):
    """A job. `planned` is always the sum of the five counts after it.

    `concurrency`, `rpm` and `tpm` are the last values given; null if none was given.
    """

    id: str
    state: str
    processor: str
    planned: int
    pending: int
    running: int
    completed: int
    failed: int
    skipped: int
    percentage: float
    tokens_in: int
    tokens_out: int
    workers: int
    waiting: WaitingOut | None
    pause: PauseOut | None
    cleaned: bool
    max_attempts: int
    timeout_seconds: float
    concurrency: int | None
    rpm: int | None
    tpm: int | None
    recipe: dict[str, Any] | None
    created_at: Moment
    updated_at: Moment
    finished_at: Moment | None

    @classmethod
    def from_job(cls, job: Job) -> Self:
        counts = job.counts
        return cls(
            id=job.id,
            state=str(job.state),
            processor=job.processor,
            planned=counts.planned,
            pending=counts.pending,
            running=counts.running,
            completed=counts.completed,
            failed=counts.failed,
            skipped=counts.skipped,
            percentage=_NOT_ALL if job.lacks_items else _percentage(counts.settled, counts.planned),
            tokens_in=job.tokens.tokens_in,
            tokens_out=job.tokens.tokens_out,
            workers=job.workers,
            waiting=_waiting(job.provider_wait),
            pause=PauseOut(code=job.pause.code, message=job.pause.message) if job.pause else None,
            cleaned=job.cleaned,
            max_attempts=job.settings.max_attempts,
            timeout_seconds=job.settings.timeout_seconds,
            concurrency=job.settings.limits.concurrency,
            rpm=job.settings.limits.rpm,
            tpm=job.settings.limits.tpm,
            recipe=dict(job.recipe) if job.recipe is not None else None,
            created_at=job.created_at,
            updated_at=job.updated_at,
            finished_at=job.finished_at,
        )


class JobsOut(ApiObject):
    """A page of jobs; `next_cursor` asks for those before it, and is null when this one is not full."""

    jobs: list[JobOut]
    next_cursor: int | None

    @classmethod
    def from_page(cls, jobs: Sequence[Job], *, limit: int, cursor: Callable[[int], int] = int) -> Self:
        full = bool(jobs) and len(jobs) >= limit
        return cls(jobs=[JobOut.from_job(job) for job in jobs], next_cursor=cursor(jobs[-1].key) if full else None)


class RunOut(ApiObject):
    """What one run of a job came to; `job` is null when there was none to run."""

    job: JobOut | None
    ending: str
    did_nothing: bool
    added: int
    repeated: int
    seconds: float

    @classmethod
    def from_result(cls, job: Job, result: BatchResult) -> Self:
        created = result.created
        return cls(
            job=JobOut.from_job(job),
            ending=str(result.ending),
            did_nothing=result.did_nothing,
            added=created.added if created else 0,
            repeated=created.repeated if created else 0,
            seconds=round(result.seconds, 3),
        )

    @classmethod
    def from_nothing(cls) -> Self:
        """There was no unfinished job to go on with."""
        return cls(job=None, ending="finished", did_nothing=True, added=0, repeated=0, seconds=0.0)


class ResumeOptionsOut(ApiObject):
    """How a job can be resumed: by this server (if `confirm` is not null, repeat it), or by `command`."""

    possible: bool
    confirm: str | None
    reason: str | None
    command: str | None


class RetryOut(ApiObject):
    job: JobOut
    retried: int


class SkipOut(ApiObject):
    job: JobOut
    skipped: int


class DiscardOut(ApiObject):
    id: str
    discarded: bool = True


class ItemOut(ApiObject):
    """An item of a job. Once its checkpoint is cleaned, `topic` and `persona` are those of the conversation."""

    id: str
    position: int
    state: str
    topic: str | None
    persona: str | None
    attempts: int
    conversation_id: str | None
    error_code: str | None
    error_message: str | None

    @classmethod
    def from_item(cls, item: ItemSummary) -> Self:
        return cls(
            id=item.id,
            position=item.position,
            state=str(item.state),
            topic=item.topic,
            persona=item.persona,
            attempts=item.attempts,
            conversation_id=item.conversation_id,
            error_code=item.error_code,
            error_message=item.error_message,
        )


class ItemsOut(ApiObject):
    """A page of items; `next_cursor` asks for those after it, and is null when this one is not full."""

    items: list[ItemOut]
    next_cursor: int | None

    @classmethod
    def from_page(cls, items: Sequence[ItemSummary], *, limit: int) -> Self:
        full = bool(items) and len(items) >= limit
        return cls(items=[ItemOut.from_item(item) for item in items], next_cursor=items[-1].position if full else None)


class FailedItemOut(ApiObject):
    """A failed item with the attempt that settled it."""

    id: str
    position: int
    topic: str | None
    attempts: int
    error_code: str
    error_message: str
    raw: str | None
    failed_at: str

    @classmethod
    def from_failure(cls, failure: FailedItem) -> Self:
        return cls(
            id=failure.item_id,
            position=failure.position,
            topic=failure.topic,
            attempts=failure.attempts,
            error_code=failure.error_code,
            error_message=failure.error_message,
            raw=failure.raw,
            failed_at=failure.failed_at,
        )


class FailureOut(FailedItemOut):
    """A failed item for its owner at the machine that ran it; the API leaves out where files are on the server."""

    traceback: str | None

    @classmethod
    def from_failure(cls, failure: FailedItem) -> Self:
        return cls(**dict(FailedItemOut.from_failure(failure)), traceback=failure.traceback)


class PauseEvidenceOut(FailedItemOut):
    """An attempt that led to the job's pause; its item has not failed. `attempts` is the number of that attempt."""

    state: str

    @classmethod
    def from_failure(cls, failure: FailedItem) -> Self:
        return cls(**FailedItemOut.from_failure(failure).model_dump(), state=str(failure.state))


class JobDetailOut(JobOut):
    """A job; while it is paused by itself, with the attempts that led to the pause, the newest first."""

    pause_evidence: list[PauseEvidenceOut] = Field(default_factory=list)

    @classmethod
    def from_job_and_evidence(cls, job: Job, evidence: Sequence[FailedItem]) -> Self:
        found = [PauseEvidenceOut.from_failure(failure) for failure in evidence]
        return cls.from_job(job).model_copy(update={"pause_evidence": found})


class FailedItemsOut(ApiObject):
    """A page of failed items; `next_cursor` asks for those after it, and is null when this one is not full."""

    items: list[FailedItemOut]
    next_cursor: int | None

    @classmethod
    def from_page(cls, failures: Sequence[FailedItem], *, limit: int) -> Self:
        full = bool(failures) and len(failures) >= limit
        return cls(
            items=[FailedItemOut.from_failure(failure) for failure in failures],
            next_cursor=failures[-1].position if full else None,
        )


class JobProgressOut(ApiObject):
    """A job as it is, and how fast it goes: items completed or skipped a second, of late.

    Without any, `eta_seconds` is null: a failure is no progress.
    """

    job: JobOut
    rate: float
    eta_seconds: float | None

    @classmethod
    def from_job(cls, job: Job, *, rate: float) -> Self:
        left = job.counts.planned - job.counts.settled
        eta = left / rate if rate else (0.0 if not left else None)
        return cls(
            job=JobOut.from_job(job), rate=round(rate, 4), eta_seconds=round(eta, 1) if eta is not None else None
        )


class JobStateOut(ApiObject):
    id: str
    state: str
    pause: PauseOut | None

    @classmethod
    def from_job(cls, job: Job) -> Self:
        pause = PauseOut(code=job.pause.code, message=job.pause.message) if job.pause else None
        return cls(id=job.id, state=str(job.state), pause=pause)


class ItemFailedOut(ApiObject):
    """An item that failed just now."""

    id: str
    position: int
    attempt: int
    topic: str | None
    error_code: str
    error_message: str
    failed_at: str

    @classmethod
    def from_event(cls, failing: FailureEvent) -> Self:
        return cls(
            id=failing.item_id,
            position=failing.position,
            attempt=failing.attempt,
            topic=failing.topic,
            error_code=failing.error_code,
            error_message=failing.error_message,
            failed_at=failing.failed_at,
        )


def _waiting(waiting: ProviderWait | None) -> WaitingOut | None:
    if waiting is None:
        return None
    return WaitingOut(reason=waiting.reason, detail=waiting.detail, until=waiting.until)


def _percentage(settled: int, planned: int) -> float:
    # Rounded down: 100 means that nothing is left.
    return math.floor(1000 * settled / planned) / 10 if planned else 100.0
