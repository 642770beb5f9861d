"""The objects that the command line prints as JSON and the API answers with: camelCase, one shape for both."""

import math
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, PlainSerializer, WithJsonSchema
from pydantic.alias_generators import to_camel

from holdfast.backup.backup import Backup
from holdfast.backup.cleanup import Cleanup
from holdfast.backup.restoring import Restored, RestorePlan
from holdfast.batch.item import Failure
from holdfast.batch.job import Job
from holdfast.batch.result import BatchResult
from holdfast.clock import to_text
from holdfast.errors import HoldfastError
from holdfast.generate.preview import Preview
from holdfast.library.conversation import Conversation
from holdfast.library.imports.incoming import Imported
from holdfast.library.removal import DeletePlan, Deletion
from holdfast.library.store import ConversationSummary

Moment = Annotated[
    datetime,
    PlainSerializer(to_text, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]


class Object(BaseModel):
    """Base of all: snake_case here, camelCase in JSON."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True)

    def to_json(self) -> bytes:
        """Return it as one line of JSON, without a line end."""
        return self.model_dump_json(by_alias=True).encode()


class PauseOut(Object):
    code: str
    message: str


class JobOut(Object):
    """A job. `planned` is always the sum of the five counts after it."""

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
    pause: PauseOut | None
    cleaned: bool
    max_attempts: int
    timeout_seconds: float
    recipe: dict[str, Any] | None
    created_at: Moment
    updated_at: Moment
    finished_at: Moment | None

    @classmethod
    def of(cls, job: Job) -> Self:
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
            percentage=_percentage(counts.settled, counts.planned),
            tokens_in=job.tokens.tokens_in,
            tokens_out=job.tokens.tokens_out,
            workers=job.workers,
            pause=PauseOut(code=job.pause.code, message=job.pause.message) if job.pause else None,
            cleaned=job.cleaned,
            max_attempts=job.settings.max_attempts,
            timeout_seconds=job.settings.timeout_seconds,
            recipe=dict(job.recipe) if job.recipe is not None else None,
            created_at=job.created_at,
            updated_at=job.updated_at,
            finished_at=job.finished_at,
        )


class JobsOut(Object):
    jobs: list[JobOut]

    @classmethod
    def of(cls, jobs: Sequence[Job]) -> Self:
        return cls(jobs=[JobOut.of(job) for job in jobs])


class RunOut(Object):
    """What one run of a job came to; `job` is null when there was none to run."""

    job: JobOut | None
    ending: str
    did_nothing: bool
    added: int
    repeated: int
    seconds: float

    @classmethod
    def of(cls, job: Job, result: BatchResult) -> Self:
        created = result.created
        return cls(
            job=JobOut.of(job),
            ending=str(result.ending),
            did_nothing=result.did_nothing,
            added=created.added if created else 0,
            repeated=created.repeated if created else 0,
            seconds=round(result.seconds, 3),
        )

    @classmethod
    def of_nothing(cls) -> Self:
        """There was no unfinished job to go on with."""
        return cls(job=None, ending="finished", did_nothing=True, added=0, repeated=0, seconds=0.0)


class InitOut(Object):
    files: list[str]


class PromptOut(Object):
    """The prompt of one item; `tokens_in` is an estimate."""

    id: str
    system: str | None
    user: str
    tokens_in: int


class PreviewOut(Object):
    """What a run would send: the first prompts, and estimates for all items."""

    prompts: list[PromptOut]
    items: int
    tokens_in: int
    tokens_out: int

    @classmethod
    def of(cls, seen: Preview) -> Self:
        return cls(
            prompts=[
                PromptOut(
                    id=sample.item_id,
                    system=sample.prompt.system,
                    user=sample.prompt.user,
                    tokens_in=sample.tokens_in,
                )
                for sample in seen.samples
            ],
            items=seen.items,
            tokens_in=seen.tokens_in,
            tokens_out=seen.tokens_out,
        )


class RetryOut(Object):
    job: JobOut
    retried: int


class DiscardOut(Object):
    id: str
    discarded: bool = True


class FailedItemOut(Object):
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
    def of(cls, failure: Failure) -> Self:
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


class ConversationSummaryOut(Object):
    """A conversation without its turns' text; `cursor` is its place in the order of storing."""

    id: str
    topic: str | None
    persona: str | None
    job_id: str | None
    item_id: str | None
    turns: int
    created_at: str
    cursor: int

    @classmethod
    def of(cls, summary: ConversationSummary) -> Self:
        return cls(
            id=summary.id,
            topic=summary.topic,
            persona=summary.persona,
            job_id=summary.job_id,
            item_id=summary.item_id,
            turns=summary.turns,
            created_at=summary.created_at,
            cursor=summary.cursor,
        )


class ConversationsOut(Object):
    """A page of conversations; `next_cursor` asks for the one before it, and is null when this one is not full."""

    conversations: list[ConversationSummaryOut]
    next_cursor: int | None

    @classmethod
    def of(cls, summaries: Sequence[ConversationSummary], *, limit: int) -> Self:
        full = bool(summaries) and len(summaries) >= limit
        return cls(
            conversations=[ConversationSummaryOut.of(summary) for summary in summaries],
            next_cursor=summaries[-1].cursor if full else None,
        )


class TurnOut(Object):
    sequence: int
    id: str | None
    role: str
    content: str
    metadata: dict[str, Any]


class ConversationOut(Object):
    """A whole conversation."""

    id: str | None
    topic: str | None
    persona: str | None
    content: str | None
    metadata: dict[str, Any]
    job_id: str | None
    item_id: str | None
    created_at: Moment | None
    updated_at: Moment | None
    turns: list[TurnOut]

    @classmethod
    def of(cls, conversation: Conversation) -> Self:
        return cls(
            id=conversation.id,
            topic=conversation.topic,
            persona=conversation.persona,
            content=conversation.content,
            metadata=dict(conversation.metadata),
            job_id=conversation.job_id,
            item_id=conversation.item_id,
            created_at=conversation.created_at,
            updated_at=conversation.updated_at,
            turns=[
                TurnOut(
                    sequence=sequence,
                    id=turn.id,
                    role=turn.role,
                    content=turn.content,
                    metadata=dict(turn.metadata or {}),
                )
                for sequence, turn in enumerate(conversation.turns, start=1)
            ],
        )


class ImportOut(Object):
    imported: int
    identical: int
    skipped: int
    renamed: int
    relinked: int

    @classmethod
    def of(cls, done: Imported) -> Self:
        return cls(
            imported=done.imported,
            identical=done.identical,
            skipped=done.skipped,
            renamed=done.renamed,
            relinked=done.relinked,
        )


class BackupDeletionOut(Object):
    """The delete that a backup was made for."""

    state: str
    deleted: int
    changed: int
    gone: int


class BackupOut(Object):
    """A backup. `expiresAt` is null while it is written, or while its delete is unfinished."""

    backup_id: str
    file_path: str
    state: str
    reason: str
    conversation_count: int
    turn_count: int
    content_bytes: int
    file_bytes: int
    pinned: bool
    error: str | None
    created_at: Moment
    verified_at: Moment | None
    expires_at: Moment | None
    deletion: BackupDeletionOut | None

    @classmethod
    def of(cls, backup: Backup) -> Self:
        deletion = None
        if backup.deletion is not None:
            deletion = BackupDeletionOut(
                state=str(backup.deletion), deleted=backup.deleted, changed=backup.changed, gone=backup.gone
            )
        return cls(
            backup_id=backup.id,
            file_path=f"/backups/{backup.id}.json",
            state=str(backup.state),
            reason=backup.reason,
            conversation_count=backup.conversations,
            turn_count=backup.turns,
            content_bytes=backup.content_bytes,
            file_bytes=backup.file_bytes,
            pinned=backup.is_pinned,
            error=backup.error,
            created_at=backup.created_at,
            verified_at=backup.verified_at,
            expires_at=backup.expires_at,
            deletion=deletion,
        )


class BackupsOut(Object):
    backups: list[BackupOut]

    @classmethod
    def of(cls, backups: Sequence[Backup]) -> Self:
        return cls(backups=[BackupOut.of(backup) for backup in backups])


class DownloadOut(Object):
    backup_id: str
    path: str
    bytes: int


class SampleOut(Object):
    id: str
    topic: str | None
    turns: int


class DeletePlanOut(Object):
    """What a delete would remove; `digest` is another one when that has changed."""

    conversations: int
    turns: int
    digest: str
    sample: list[SampleOut]
    missing: list[str]

    @classmethod
    def of(cls, plan: DeletePlan) -> Self:
        return cls(
            conversations=plan.conversations,
            turns=plan.turns,
            digest=plan.digest,
            sample=[SampleOut(id=one.id, topic=one.topic, turns=one.turns) for one in plan.sample],
            missing=list(plan.missing),
        )


class DeletionOut(Object):
    """What a delete came to; `undo` is the command that brings everything back."""

    backup_id: str | None
    deleted: int
    changed: int
    gone: int
    changed_ids: list[str]
    gone_ids: list[str]
    undo: str | None

    @classmethod
    def of(cls, done: Deletion, *, undo: str | None) -> Self:
        return cls(
            backup_id=done.backup_id,
            deleted=done.deleted,
            changed=done.changed,
            gone=done.gone,
            changed_ids=list(done.changed_ids),
            gone_ids=list(done.gone_ids),
            undo=undo,
        )


class ClashOut(Object):
    id: str
    kind: str
    other_id: str | None


class RestorePlanOut(Object):
    backup_id: str
    new: int
    identical: int
    conflicts: list[ClashOut]

    @classmethod
    def of(cls, plan: RestorePlan) -> Self:
        clashes = [ClashOut(id=clash.id, kind=str(clash.kind), other_id=clash.other_id) for clash in plan.clashes]
        return cls(backup_id=plan.backup_id, new=plan.new, identical=plan.identical, conflicts=clashes)


class RestoredOut(Object):
    backup_id: str
    restored: int
    identical: int
    skipped: int
    replaced: int
    relinked: int
    replaced_backup_id: str | None

    @classmethod
    def of(cls, done: Restored) -> Self:
        return cls(
            backup_id=done.backup_id,
            restored=done.restored,
            identical=done.identical,
            skipped=done.skipped,
            replaced=done.replaced,
            relinked=done.relinked,
            replaced_backup_id=done.replaced_backup_id,
        )


class DecisionOut(Object):
    backup_id: str
    action: str
    reason: str


class CleanupOut(Object):
    """What a cleanup did or, as a dry run, would do."""

    dry_run: bool
    backups: list[DecisionOut]
    orphans: list[str]
    orphans_removed: bool

    @classmethod
    def of(cls, done: Cleanup) -> Self:
        decisions = [
            DecisionOut(backup_id=decision.backup.id, action=str(decision.action), reason=decision.reason)
            for decision in done.decisions
        ]
        return cls(
            dry_run=done.is_dry_run,
            backups=decisions,
            orphans=list(done.orphans),
            orphans_removed=done.orphans_removed,
        )


class ExportOut(Object):
    exported: int
    format: str
    path: str | None


class CheckOut(Object):
    name: str
    level: str
    message: str
    remedy: str | None


class DoctorOut(Object):
    """What `doctor` found; `ok` is true when nothing is a problem."""

    ok: bool
    checks: list[CheckOut]


class ErrorDetail(Object):
    code: str
    message: str
    details: dict[str, Any]


class ErrorOut(Object):
    """How every error is told: a stable code, a line for people, plain values for machines."""

    error: ErrorDetail

    @classmethod
    def of(cls, error: HoldfastError) -> Self:
        return cls.told(error.code, error.message, error.context)

    @classmethod
    def told(cls, code: str, message: str, details: dict[str, Any] | None = None) -> Self:
        return cls(error=ErrorDetail(code=code, message=_valid(message), details=_plain(details or {})))


def _percentage(settled: int, planned: int) -> float:
    # Rounded down: 100 means that nothing is left.
    return math.floor(1000 * settled / planned) / 10 if planned else 100.0


def _plain(value: Any) -> Any:
    """Return what JSON can say of a value."""
    match value:
        case None | bool() | int() | float():
            return value
        case dict():
            return {_valid(str(name)): _plain(inner) for name, inner in value.items()}
        case list() | tuple():
            return [_plain(inner) for inner in value]
        case _:
            return _valid(str(value))


def _valid(text: str) -> str:
    # A file's name can be any bytes; Python keeps those that are no UTF-8 as halves of surrogate pairs.
    return text.encode(errors="backslashreplace").decode()
