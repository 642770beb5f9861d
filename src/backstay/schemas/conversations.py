"""Conversations, and their import, export and deletion."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any, Self

from pydantic import Field

from backstay.library.conversation import Conversation
from backstay.library.deletion import DeletePlan, DeleteResult
from backstay.library.exports.request import ExportResult
from backstay.library.imports.imported_conversation import ImportResult
from backstay.library.store import ConversationSummary
from backstay.schemas.base import ApiObject, Moment, next_cursor


class ConversationSummaryOut(ApiObject):
    """A conversation without the text of its turns."""

    id: str
    topic: str | None
    persona: str | None
    job_id: str | None
    item_id: str | None
    turns: int
    created_at: str


class ConversationsOut(ApiObject):
    """A page of conversations. `nextCursor` is the cursor of the next older page; null if this page is not full."""

    conversations: list[ConversationSummaryOut]
    next_cursor: int | None

    @classmethod
    def from_page(
        cls, summaries: Sequence[ConversationSummary], *, limit: int, cursor: Callable[[int], int] = int
    ) -> Self:
        return cls(
            conversations=[ConversationSummaryOut.model_validate(summary) for summary in summaries],
            next_cursor=next_cursor([summary.cursor for summary in summaries], limit, cursor),
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
    def from_result(cls, result: ImportResult) -> Self:
        return cls.model_validate(result)


class LossOut(ApiObject):
    """Something that a format cannot hold, and how often it was left out."""

    loss: str
    count: int
    conversations: int


class ExportedFileOut(ApiObject):
    name: str
    split: str | None
    conversations: int


class ExportOut(ApiObject):
    """The result of an export. `leftOut` are fields without a place in the format, with the number that have them."""

    exported: int
    format: str
    path: str | None
    files: list[ExportedFileOut]
    splits: dict[str, int]
    losses: list[LossOut]
    left_out: dict[str, int]
    notes: list[str]

    @classmethod
    def from_result(cls, result: ExportResult) -> Self:
        return cls.model_validate(result)


class SampleOut(ApiObject):
    id: str
    topic: str | None
    turns: int


class RelatedRowsOut(ApiObject):
    """Related rows of one table: they are `deleted`, or `changed` to refer to nothing or to a default."""

    table: str
    rows: int
    action: str


class TriggerOut(ApiObject):
    """A trigger that would fire."""

    name: str
    table: str


class DeletePlanOut(ApiObject):
    """The plan of a delete. `digest` changes whenever the conversations or rows to remove change.

    `estimatedBytes` estimates the `contentBytes` of the backup; related rows are not counted.
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
        return cls.model_validate(plan)


class DeleteResultOut(ApiObject):
    """The result of a delete; `undo` is the command that restores everything.

    `changed` and `gone` count selected conversations that were edited, or removed, before the delete reached them.
    After a delete without a backup, `erased` says whether no remains of the texts are left in the database file.
    """

    backup_id: str | None
    deleted: int
    changed: int
    gone: int
    changed_ids: list[str]
    gone_ids: list[str]
    undo: str | None
    erased: bool = Field(validation_alias="is_erased")

    @classmethod
    def from_result(cls, result: DeleteResult, *, undo: str | None) -> Self:
        return cls.model_validate({**asdict(result), "undo": undo})
