"""Corrections of conversations: edits, their versions, and what differs between two versions."""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import Path, Query
from pydantic import Field

from backstay.errors import ConversationChanged
from backstay.library.turn import ToolCall, Turn
from backstay.limits import MAX_NAME
from backstay.schemas import ConversationOut, DifferenceOut, VersionsOut
from backstay.server.api.common import ApiInput, ConversationId, OwnerServices, Text, errors, token_scheme
from backstay.server.api.selections import Digest
from backstay.server.ids_with_slashes import IdRoute
from backstay.server.problems import Problem, status_of
from backstay.server.remedies import full_message
from backstay.server.routers import Router

router = Router(prefix="/api/conversations", tags=["conversations"], dependencies=[token_scheme], route_class=IdRoute)

_NUMBERS = {"ge": 1, "le": 2**31 - 1}
Number = Annotated[int, Path(**_NUMBERS, description="1 is the conversation as it was first stored.")]
Editor = Annotated[Text, Field(max_length=MAX_NAME)]


class ToolCallIn(ApiInput):
    id: Text | None = None
    name: Text
    arguments: Text
    extra: dict[str, Any] | None = None

    def to_call(self) -> ToolCall:
        return ToolCall(self.id, self.name, self.arguments, extra=self.extra or None)


class TurnIn(ApiInput):
    """A turn as a conversation has it. One without an `id` is recognized by its content, else by its place."""

    role: Text
    content: Text
    id: Text | None = None
    name: Text | None = None
    reasoning: Text | None = None
    parts: list[Any] | None = None
    tool_calls: list[ToolCallIn] = Field(default_factory=list)
    tool_call_id: Text | None = None
    metadata: dict[str, Any] | None = None
    sequence: int | None = None
    """Not used: the order of the list counts."""

    def to_turn(self) -> Turn:
        return Turn(
            self.role,
            self.content,
            id=self.id,
            name=self.name,
            reasoning=self.reasoning,
            parts=self.parts,
            tool_calls=tuple(call.to_call() for call in self.tool_calls),
            tool_call_id=self.tool_call_id,
            metadata=self.metadata or None,
        )


class ContentIn(ApiInput):
    """New content of a conversation: what is left out stays as it is. `expected` is the `digest` that was read."""

    expected: Digest
    turns: Annotated[list[TurnIn], Field(min_length=1)] | None = None
    """All turns, in order."""
    topic: Text | None = None
    persona: Text | None = None
    editor: Editor | None = None
    """Who edits, for the list of versions."""

    def to_changes(self) -> dict[str, Any]:
        """Return the arguments of an edit."""
        changes: dict[str, Any] = {
            name: getattr(self, name) for name in ("topic", "persona") if name in self.model_fields_set
        }
        if self.turns is not None:
            changes["turns"] = [turn.to_turn() for turn in self.turns]
        return changes


class RevertIn(ApiInput):
    """The version to bring back, by default the one before. `expected` is the `digest` that was read."""

    expected: Digest
    to: Annotated[int, Field(**_NUMBERS)] | None = None
    editor: Editor | None = None


@router.put("/{conversationId:id}/content", responses=errors(404, 409, 413))
async def edit_conversation(
    body: ContentIn, conversation_id: ConversationId, services: OwnerServices
) -> ConversationOut:
    """Edit a conversation, and keep the version before.

    If it was changed since it was read, the error `conversation_changed` has the conversation as it is now in
    `details.current`, and what was sent in `details.submitted`. An edit may be repeated: one that changes nothing
    stores nothing, whatever is expected.
    """
    try:
        edited = await services.edits.edit(
            conversation_id, expected=body.expected, editor=body.editor, **body.to_changes()
        )
    except ConversationChanged as error:
        submitted = body.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude={"expected", "editor"})
        raise await _conflict(error, conversation_id, services, submitted) from error
    return ConversationOut.from_conversation(edited)


@router.post("/{conversationId:id}/revert", responses=errors(404, 409))
async def revert_conversation(
    body: RevertIn, conversation_id: ConversationId, services: OwnerServices
) -> ConversationOut:
    """Bring back the topic, persona and turns of a version. This is an edit too, so it can be reverted itself."""
    try:
        reverted = await services.edits.revert(conversation_id, to=body.to, expected=body.expected, editor=body.editor)
    except ConversationChanged as error:
        raise await _conflict(error, conversation_id, services, {}) from error
    return ConversationOut.from_conversation(reverted)


@router.get("/{conversationId:id}/versions", responses=errors(404))
async def list_versions(conversation_id: ConversationId, services: OwnerServices) -> VersionsOut:
    """List the versions of a conversation, the current one last."""
    return VersionsOut.from_versions(await services.edits.versions(conversation_id))


@router.get("/{conversationId:id}/versions/{number}", responses=errors(404))
async def show_version(number: Number, conversation_id: ConversationId, services: OwnerServices) -> ConversationOut:
    """Show a conversation as it was in a version."""
    return ConversationOut.from_conversation(await services.edits.version(conversation_id, number))


@router.get("/{conversationId:id}/difference", responses=errors(404))
async def compare_versions(
    conversation_id: ConversationId,
    services: OwnerServices,
    before: Annotated[
        int | None, Query(**_NUMBERS, description="A version; by default the one before the later one.")
    ] = None,
    after: Annotated[int | None, Query(**_NUMBERS, description="A version; by default the current one.")] = None,
) -> DifferenceOut:
    """Return what differs between two versions, by turn and by word; by default what the last edit changed."""
    return DifferenceOut.from_versions(await services.edits.compare(conversation_id, before=before, after=after))


async def _conflict(
    error: ConversationChanged, conversation_id: str, services: OwnerServices, submitted: Mapping[str, Any]
) -> Problem:
    """Return the error for a conversation that was changed since it was read, with both versions."""
    current = ConversationOut.from_conversation(await services.conversations.show(conversation_id))
    details = {**error.context, "current": current.model_dump(mode="json", by_alias=True), "submitted": submitted}
    return Problem(status_of(error), error.code, full_message(error), **details)
