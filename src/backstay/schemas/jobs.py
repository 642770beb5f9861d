"""Jobs and their items."""

import math
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Self

from pydantic import AliasPath, BeforeValidator, Field

from backstay.batch.deleted_results import DeletedResults
from backstay.batch.item import FailedItem, FailureEvent, ItemSummary
from backstay.batch.job import Job
from backstay.batch.progress import ItemCounts
from backstay.batch.runner import BatchResult
from backstay.legacy.imported_jobs import WaitingImport
from backstay.readers.bad_rows import BadRowsReport
from backstay.schemas.base import ApiObject, BadRowOut, Moment, next_cursor


class PauseOut(ApiObject):
    code: str
    message: str


class WaitingOut(ApiObject):
    """The reason why all calls of a job wait: `reason` and `detail` for people; the next call is made at `until`."""

    reason: str
    detail: str
    until: Moment


class RegeneratedJobOut(ApiObject):
    """The job whose conversations are made again, and the backup of those that are still to be replaced."""

    job_id: str = Field(validation_alias="id")
    backup_id: str


def _percentage(counts: ItemCounts) -> float:
    # Rounded down: 100 means that nothing is left.
    return math.floor(1000 * counts.settled / counts.planned) / 10 if counts.planned else 100.0


class JobOut(ApiObject):
    """A job. `planned` is always the sum of the five counts after it.

    `concurrency`, `rpm` and `tpm` are the latest values that were set; null if none was. `regenerates` is null for an
    ordinary job.
    """

    id: str
    state: str
    processor: str
    planned: int = Field(validation_alias=AliasPath("counts", "planned"))
    pending: int = Field(validation_alias=AliasPath("counts", "pending"))
    running: int = Field(validation_alias=AliasPath("counts", "running"))
    completed: int = Field(validation_alias=AliasPath("counts", "completed"))
    failed: int = Field(validation_alias=AliasPath("counts", "failed"))
    skipped: int = Field(validation_alias=AliasPath("counts", "skipped"))
    percentage: Annotated[float, BeforeValidator(_percentage)] = Field(validation_alias="counts")
    tokens_in: int = Field(validation_alias=AliasPath("tokens", "tokens_in"))
    tokens_out: int = Field(validation_alias=AliasPath("tokens", "tokens_out"))
    workers: int
    waiting: WaitingOut | None = Field(validation_alias="provider_wait")
    pause: PauseOut | None
    cleaned: bool
    max_attempts: int = Field(validation_alias=AliasPath("settings", "max_attempts"))
    timeout_seconds: float = Field(validation_alias=AliasPath("settings", "timeout_seconds"))
    concurrency: int | None = Field(validation_alias=AliasPath("settings", "limits", "concurrency"))
    rpm: int | None = Field(validation_alias=AliasPath("settings", "limits", "rpm"))
    tpm: int | None = Field(validation_alias=AliasPath("settings", "limits", "tpm"))
    recipe: dict[str, Any] | None
    revision: int | None
    """The number of the recipe's current revision, from 1; null without a recipe."""
    regenerates: RegeneratedJobOut | None
    created_at: Moment
    updated_at: Moment
    finished_at: Moment | None

    @classmethod
    def from_job(cls, job: Job) -> Self:
        return cls.model_validate(job)


class WaitingImportOut(ApiObject):
    """An imported job, of which only the settled items are known.

    Creating a job with its name and all its items, under their original ids, continues it.
    """

    job_id: str
    completed: int
    failed: int
    imported_at: Moment


class JobsOut(ApiObject):
    """A page of jobs. `nextCursor` is the cursor of the next older page; null if this page is not full.

    The first page has all imported jobs that still wait for their items.
    """

    jobs: list[JobOut]
    waiting_imports: list[WaitingImportOut]
    next_cursor: int | None

    @classmethod
    def from_page(
        cls,
        jobs: Sequence[Job],
        waiting: Sequence[WaitingImport] = (),
        *,
        limit: int,
        cursor: Callable[[int], int] = int,
    ) -> Self:
        return cls(
            jobs=[JobOut.from_job(job) for job in jobs],
            waiting_imports=[WaitingImportOut.model_validate(each) for each in waiting],
            next_cursor=next_cursor([job.key for job in jobs], limit, cursor),
        )


class NewJobOut(JobOut):
    """A job created from a file. `badRows` were left out; `badRowReasons` has the first 100 of them.

    `notes` are sentences about what was noticed in the file, such as its delimiter.
    """

    bad_rows: int = 0
    bad_row_reasons: list[BadRowOut] = Field(default_factory=list)
    notes: list[str] = Field(default_factory=list)

    @classmethod
    def from_job_and_report(cls, job: Job, report: BadRowsReport, notes: Sequence[str]) -> Self:
        reasons = [BadRowOut.model_validate(bad_row) for bad_row in report.examples]
        update = {"bad_rows": report.count, "bad_row_reasons": reasons, "notes": list(notes)}
        return cls.from_job(job).model_copy(update=update)


class RunOut(ApiObject):
    """The result of one run of a job. `job` is null if there was no unfinished job.

    `badRows` of the input were left out; `badRowReasons` has the first 100 of them. `notes` are sentences about what
    was noticed in the input, such as its delimiter.
    """

    job: JobOut | None
    ending: str
    did_nothing: bool
    added: int
    repeated: int
    bad_rows: int = 0
    bad_row_reasons: list[BadRowOut] = Field(default_factory=list)
    notes: list[str] = Field(default_factory=list)
    seconds: float

    @classmethod
    def from_result(cls, job: Job, result: BatchResult, notes: Sequence[str]) -> Self:
        created = result.created
        return cls(
            job=JobOut.from_job(job),
            ending=str(result.ending),
            did_nothing=result.did_nothing,
            added=created.added if created else 0,
            repeated=created.repeated if created else 0,
            bad_rows=result.bad_rows.count,
            bad_row_reasons=[BadRowOut.model_validate(bad_row) for bad_row in result.bad_rows.examples],
            notes=list(notes),
            seconds=round(result.seconds, 3),
        )

    @classmethod
    def from_nothing(cls) -> Self:
        """Return the result of a run that found no unfinished job."""
        return cls(job=None, ending="finished", did_nothing=True, added=0, repeated=0, seconds=0.0)


class ResumeOptionsOut(ApiObject):
    """The ways to resume a job: a request to this server, which repeats `confirm` unless it is null, or `command`."""

    possible: bool
    confirm: str | None
    reason: str | None
    command: str | None


class RetryOut(ApiObject):
    """`withoutInput` counts items with deleted conversations whose inputs an earlier version of Backstay removed."""

    job: JobOut
    retried: int
    without_input: int = 0


class SkipOut(ApiObject):
    job: JobOut
    skipped: int


class DiscardOut(ApiObject):
    id: str
    discarded: bool = True


class ItemOut(ApiObject):
    """An item of a job. `editedSince` means that it was edited after it failed: its error is from before."""

    id: str
    position: int
    state: str
    topic: str | None
    persona: str | None
    attempts: int
    conversation_id: str | None
    error_code: str | None
    error_message: str | None
    edited_since: bool


class ItemsOut(ApiObject):
    """A page of items. `nextCursor` is the cursor of the next page; null if this page is not full."""

    items: list[ItemOut]
    next_cursor: int | None

    @classmethod
    def from_page(cls, items: Sequence[ItemSummary], *, limit: int) -> Self:
        page = [ItemOut.model_validate(item) for item in items]
        return cls(items=page, next_cursor=next_cursor([item.position for item in items], limit))


class FailedItemOut(ApiObject):
    """A failed item with the attempt that decided its failure. `editedSince` means that it was edited after that."""

    id: str = Field(validation_alias="item_id")
    position: int
    topic: str | None
    attempts: int
    error_code: str
    error_message: str
    raw: str | None
    failed_at: str
    edited_since: bool

    @classmethod
    def from_failure(cls, failure: FailedItem) -> Self:
        return cls.model_validate(failure)


class FailureOut(FailedItemOut):
    """A failed item with its traceback, for the command line. The API omits paths of the server's files."""

    traceback: str | None


class PauseEvidenceOut(FailedItemOut):
    """An attempt that led to the job's pause; its item has not failed. `attempts` is the number of that attempt."""

    state: str


class JobDetailOut(JobOut):
    """A job. If it paused itself, `pauseEvidence` holds the attempts that led to the pause, the newest first.

    `deleted` counts the completed items whose conversations were deleted. They can be made again, except for the
    `withoutInput`, whose inputs an earlier version of Backstay removed.
    """

    deleted: int = 0
    without_input: int = 0
    pause_evidence: list[PauseEvidenceOut] = Field(default_factory=list)

    @classmethod
    def from_job_and_evidence(cls, job: Job, evidence: Sequence[FailedItem], deleted: DeletedResults) -> Self:
        attempts = [PauseEvidenceOut.from_failure(failure) for failure in evidence]
        update = {"deleted": deleted.items, "without_input": deleted.without_input, "pause_evidence": attempts}
        return cls.from_job(job).model_copy(update=update)


class FailedItemsOut(ApiObject):
    """A page of failed items. `nextCursor` is the cursor of the next page; null if this page is not full."""

    items: list[FailedItemOut]
    next_cursor: int | None

    @classmethod
    def from_page(cls, failures: Sequence[FailedItem], *, limit: int) -> Self:
        page = [FailedItemOut.from_failure(failure) for failure in failures]
        return cls(items=page, next_cursor=next_cursor([failure.position for failure in failures], limit))


class JobProgressOut(ApiObject):
    """A job and its recent rate: items completed or skipped per second.

    `etaSeconds` is null while the rate is 0, since failures do not count as progress.
    """

    job: JobOut
    rate: float
    eta_seconds: float | None

    @classmethod
    def from_job(cls, job: Job, *, rate: float) -> Self:
        remaining = job.counts.planned - job.counts.settled
        eta = remaining / rate if rate else (0.0 if not remaining else None)
        return cls(
            job=JobOut.from_job(job), rate=round(rate, 4), eta_seconds=round(eta, 1) if eta is not None else None
        )


class JobStateOut(ApiObject):
    id: str
    state: str
    pause: PauseOut | None

    @classmethod
    def from_job(cls, job: Job) -> Self:
        return cls.model_validate(job)


class ItemFailedOut(ApiObject):
    """An item that has just failed."""

    id: str = Field(validation_alias="item_id")
    position: int
    attempt: int
    topic: str | None
    error_code: str
    error_message: str
    failed_at: str

    @classmethod
    def from_event(cls, event: FailureEvent) -> Self:
        return cls.model_validate(event)
