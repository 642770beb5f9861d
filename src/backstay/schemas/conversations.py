"""Conversations, and their import, export and deletion."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any, Self

from pydantic import AliasPath, Field

from backstay.library.conversation import Conversation
from backstay.library.deletion import DeletePlan, DeleteResult
from backstay.library.exports.request import ExportResult
from backstay.library.imports.imported_conversation import ImportResult
from backstay.library.lists import ListPage, Total
from backstay.library.review import Review, ReviewStatus
from backstay.library.review_change import ReviewChangeResult
from backstay.library.turn import ToolCall, Turn
from backstay.regeneration.plan import ConversationHistory, Replacement
from backstay.schemas.base import ApiObject, BadRowOut, Moment


class ConversationSummaryOut(ApiObject):
    """A conversation without the texts of its turns. `opening` is its first words if it has no topic."""

    id: str
    topic: str | None
    opening: str | None
    persona: str | None
    job_id: str | None
    item_id: str | None
    turns: int
    characters: int
    model: str | None
    has_tools: bool
    created_at: str
    status: ReviewStatus
    rating: int | None
    tags: list[str]


class ReviewOut(ApiObject):
    """What a curator thinks of a conversation. `reviewer` changed it last, at `reviewedAt`.

    `digest` is that of status, rating, tags and note; a change of the review may name the one that was read.
    """

    status: ReviewStatus
    rating: int | None
    tags: list[str]
    note: str | None
    reviewer: str | None
    reviewed_at: Moment | None
    digest: str

    @classmethod
    def from_review(cls, review: Review | None) -> Self:
        """Return a review; without one, an empty one."""
        review = review or Review()
        return cls(
            status=review.status,
            rating=review.rating,
            tags=list(review.tags),
            note=review.note,
            reviewer=review.reviewer,
            reviewed_at=review.reviewed_at,
            digest=review.digest(),
        )


class ReviewChangeOut(ApiObject):
    """The counts of a change to reviews. `unchanged` needed no change, and keep their reviewer and time."""

    changed: int
    unchanged: int

    @classmethod
    def from_result(cls, result: ReviewChangeResult) -> Self:
        return cls.model_validate(result)


class TotalOut(ApiObject):
    """A number of conversations; at least that many if it is not exact."""

    count: int
    is_exact: bool


class ConversationsOut(ApiObject):
    """A page of conversations, with the cursors of the pages on either side of it; null if there is none.

    A cursor is a number, or a text if the list is sorted by a value. `total` is null unless it was requested.
    """

    conversations: list[ConversationSummaryOut]
    next_cursor: int | str | None
    previous_cursor: int | str | None
    total: TotalOut | None

    @classmethod
    def from_page(cls, page: ListPage, *, total: Total | None = None, cursor: Callable[[int], int] = int) -> Self:
        return cls(
            conversations=[ConversationSummaryOut.model_validate(summary) for summary in page.conversations],
            next_cursor=page.next.to_cursor(page.sort, cursor) if page.next is not None else None,
            previous_cursor=page.previous.to_cursor(page.sort, cursor) if page.previous is not None else None,
            total=TotalOut.model_validate(total) if total is not None else None,
        )


class ToolCallOut(ApiObject):
    """A call of a tool. `arguments` is the text that the model wrote, usually JSON; `extra` has its other keys."""

    id: str | None
    name: str
    arguments: str
    extra: dict[str, Any]

    @classmethod
    def from_call(cls, call: ToolCall) -> Self:
        return cls(id=call.id, name=call.name, arguments=call.arguments, extra=dict(call.extra or {}))


class TurnOut(ApiObject):
    """A turn. `toolCallId` is the call whose result it is; `parts` is its content as the provider's list of parts."""

    sequence: int
    id: str | None
    role: str
    name: str | None
    content: str
    reasoning: str | None
    parts: list[Any] | None
    tool_calls: list[ToolCallOut]
    tool_call_id: str | None
    metadata: dict[str, Any]

    @classmethod
    def from_turn(cls, turn: Turn, sequence: int) -> Self:
        return cls(
            sequence=sequence,
            id=turn.id,
            role=turn.role,
            name=turn.name,
            content=turn.content,
            reasoning=turn.reasoning,
            parts=list(turn.parts) if turn.parts else None,
            tool_calls=[ToolCallOut.from_call(call) for call in turn.tool_calls],
            tool_call_id=turn.tool_call_id,
            metadata=dict(turn.metadata or {}),
        )


class ReplacementOut(ApiObject):
    """A conversation that took the place of another. Without `backupId`, the old one had been deleted before."""

    old_id: str
    new_id: str
    backup_id: str | None
    replaced_at: Moment

    @classmethod
    def from_replacement(cls, replacement: Replacement | None) -> Self | None:
        return cls.model_validate(replacement) if replacement is not None else None


class OriginRecipeOut(ApiObject):
    """A recipe that made a conversation: a revision of that of a job, which need not be in this library."""

    job_id: str
    revision: int
    fingerprint: str
    recipe: dict[str, Any]
    created_at: Moment


class ConversationOut(ApiObject):
    """A whole conversation. `tools` are the definitions of the tools that the model could call.

    Without a review, the status is `unreviewed` and the other fields of `review` are empty. `digest` changes with every
    edit, but not with a review; an edit names the one that was read.

    If it was made again, `madeAgainFrom` is the one that it replaced. If it was replaced itself, and restored since,
    `replacedBy` is the one that had taken its place.

    `recipes` has the recipe that made it, if it says which one and a job or a backup has it. It has several if a backup
    brought another recipe for the same job and revision than the library has.
    """

    id: str | None
    topic: str | None
    persona: str | None
    content: str | None
    metadata: dict[str, Any]
    tools: list[dict[str, Any]]
    job_id: str | None
    item_id: str | None
    created_at: Moment | None
    updated_at: Moment | None
    review: ReviewOut
    digest: str
    turns: list[TurnOut]
    made_again_from: ReplacementOut | None
    replaced_by: ReplacementOut | None
    recipes: list[OriginRecipeOut]

    @classmethod
    def from_conversation(cls, conversation: Conversation, history: ConversationHistory | None = None) -> Self:
        history = history or ConversationHistory()
        return cls(
            id=conversation.id,
            topic=conversation.topic,
            persona=conversation.persona,
            content=conversation.content,
            metadata=dict(conversation.metadata),
            tools=[dict(tool) for tool in conversation.tools],
            job_id=conversation.job_id,
            item_id=conversation.item_id,
            created_at=conversation.created_at,
            updated_at=conversation.updated_at,
            review=ReviewOut.from_review(conversation.review),
            digest=conversation.digest(),
            turns=[TurnOut.from_turn(turn, number) for number, turn in enumerate(conversation.turns, start=1)],
            made_again_from=ReplacementOut.from_replacement(history.made_again_from),
            replaced_by=ReplacementOut.from_replacement(history.replaced_by),
            recipes=[OriginRecipeOut.model_validate(recipe) for recipe in history.recipes],
        )


class WarningPlaceOut(ApiObject):
    """A turn of a conversation, which has a line if it is from a file, and an id unless the file has none.

    `file` is named if there are several."""

    turn: int
    line: int | None
    conversation_id: str | None
    file: str | None


class WarningOut(ApiObject):
    """A reason why trainers would refuse conversations: how many, and the first."""

    kind: str
    count: int
    first: WarningPlaceOut


class ImportOut(ApiObject):
    """The result of an import.

    `badRows` were left out; `badRowReasons` has the first 100 of them. Trainers would refuse `warned` of the
    conversations, for the reasons in `warnings`. `notes` are sentences about what was noticed in the file, such as its
    delimiter. `importId` selects the conversations that were imported.
    """

    import_id: str
    imported: int
    identical: int
    skipped: int
    renamed: int
    relinked: int
    bad_rows: int = Field(validation_alias=AliasPath("bad_rows", "count"))
    bad_row_reasons: list[BadRowOut] = Field(validation_alias=AliasPath("bad_rows", "examples"))
    warned: int
    warnings: list[WarningOut]
    notes: list[str] = Field(default_factory=list)

    @classmethod
    def from_result(cls, result: ImportResult, notes: Sequence[str]) -> Self:
        return cls.model_validate(result).model_copy(update={"notes": list(notes)})


class IndexStatusOut(ApiObject):
    """How many conversations are indexed, and how many are not, which lists scan.

    `texts` are those whose texts are indexed as well; null if there is no text index.
    """

    indexed: int
    unindexed: int
    texts: int | None


class LossOut(ApiObject):
    """Something that a format cannot hold: how often, and in how many conversations."""

    loss: str
    count: int
    conversations: int


class ExportedFileOut(ApiObject):
    name: str
    split: str | None
    conversations: int


class ExportPlanOut(ApiObject):
    """What an export would write and leave out.

    `losses` is what the format cannot hold, which refuses the export unless it is lossy. `leftOut` are descriptive
    fields that the format does not write, with the number of conversations that have them. Trainers would refuse
    `warned` of the conversations, for the reasons in `warnings`.
    """

    exported: int
    format: str
    losses: list[LossOut]
    left_out: dict[str, int]
    warned: int
    warnings: list[WarningOut]
    notes: list[str]

    @classmethod
    def from_result(cls, result: ExportResult) -> Self:
        return cls.model_validate(result)


class ExportOut(ExportPlanOut):
    """The result of an export; `losses` were left out."""

    path: str | None
    files: list[ExportedFileOut]
    splits: dict[str, int]


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
