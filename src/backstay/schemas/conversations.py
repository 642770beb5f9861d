"""Conversations, and bringing them in, out and away."""

from collections.abc import Callable, Sequence
from typing import Any, Self

from backstay.library.conversation import Conversation
from backstay.library.deletion import DeletePlan, DeleteResult
from backstay.library.imports.incoming import ImportResult
from backstay.library.store import ConversationSummary
from backstay.schemas.base import ApiObject, Moment


class ConversationSummaryOut(ApiObject):
    """A conversation without its turns' text."""

    id: str
    topic: str | None
    persona: str | None
    job_id: str | None
    item_id: str | None
    turns: int
    created_at: str

    @classmethod
    def from_summary(cls, summary: ConversationSummary) -> Self:
        return cls(
            id=summary.id,
            topic=summary.topic,
            persona=summary.persona,
            job_id=summary.job_id,
            item_id=summary.item_id,
            turns=summary.turns,
            created_at=summary.created_at,
        )


class ConversationsOut(ApiObject):
    """A page of conversations; `next_cursor` asks for the one before it, and is null when this one is not full."""

    conversations: list[ConversationSummaryOut]
    next_cursor: int | None

    @classmethod
    def from_page(
        cls, summaries: Sequence[ConversationSummary], *, limit: int, cursor: Callable[[int], int] = int
    ) -> Self:
        full = bool(summaries) and len(summaries) >= limit
        return cls(
            conversations=[ConversationSummaryOut.from_summary(summary) for summary in summaries],
            next_cursor=cursor(summaries[-1].cursor) if full else None,
        )


class TurnOut(ApiObject):
    sequence: int
    id: str | None
    role: str
    content: str
    metadata: dict[str, Any]


class ConversationOut(ApiObject):
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
    def from_conversation(cls, conversation: Conversation) -> Self:
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


class ImportOut(ApiObject):
    imported: int
    identical: int
    skipped: int
    renamed: int
    relinked: int

    @classmethod
    def from_result(cls, done: ImportResult) -> Self:
        return cls(
            imported=done.imported,
            identical=done.identical,
            skipped=done.skipped,
            renamed=done.renamed,
            relinked=done.relinked,
        )


class ExportOut(ApiObject):
    exported: int
    format: str
    path: str | None


class SampleOut(ApiObject):
    id: str
    topic: str | None
    turns: int


class RelatedRowsOut(ApiObject):
    """Rows of another table: they would be `deleted`, or stay and be `changed` to refer to nothing, or a default."""

    table: str
    rows: int
    action: str


class TriggerOut(ApiObject):
    """A trigger that would fire."""

    name: str
    table: str


class DeletePlanOut(ApiObject):
    """What a delete would remove; `digest` is another one when that has changed.

    `estimatedBytes` is about the `contentBytes` of a backup of it, without rows of other tables.
    """

    conversations: int
    turns: int
    estimated_bytes: int
    digest: str
    sample: list[SampleOut]
    missing: list[str]
    related: list[RelatedRowsOut]
    triggers: list[TriggerOut]

    @classmethod
    def from_plan(cls, plan: DeletePlan) -> Self:
        return cls(
            conversations=plan.conversations,
            turns=plan.turns,
            estimated_bytes=plan.estimated_bytes,
            digest=plan.digest,
            sample=[SampleOut(id=one.id, topic=one.topic, turns=one.turns) for one in plan.sample],
            missing=list(plan.missing),
            related=[
                RelatedRowsOut(table=one.table, rows=one.rows, action="deleted" if one.goes else "changed")
                for one in plan.related
            ],
            triggers=[TriggerOut(name=one.name, table=one.table) for one in plan.triggers],
        )


class DeleteResultOut(ApiObject):
    """The result of a delete; `undo` is the command that restores everything.

    `erased`: after a delete without a backup, whether nothing of the texts is left in the database's file.
    """

    backup_id: str | None
    deleted: int
    changed: int
    gone: int
    changed_ids: list[str]
    gone_ids: list[str]
    undo: str | None
    erased: bool

    @classmethod
    def from_result(cls, done: DeleteResult, *, undo: str | None) -> Self:
        return cls(
            backup_id=done.backup_id,
            deleted=done.deleted,
            changed=done.changed,
            gone=done.gone,
            changed_ids=list(done.changed_ids),
            gone_ids=list(done.gone_ids),
            undo=undo,
            erased=done.is_erased,
        )
