"""Pages that correct a conversation: its form, its versions, and what differs between two of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated

from fastapi import Form, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from backstay.errors import BackstayError, ConversationChanged, ConversationNotFound, VersionNotFound
from backstay.library.conversation import Conversation
from backstay.library.difference import compare
from backstay.library.edit_plan import ROLES
from backstay.library.turn import Turn
from backstay.library.turn_matching import match_turns
from backstay.server import form_limits
from backstay.server.api.common import OwnerServices
from backstay.server.api.selections import Digest
from backstay.server.problems import Problem, message_for, status_of
from backstay.server.routers import Router
from backstay.server.web.conversations import PrintedId
from backstay.server.web.forms import EmptyIsNone, redirect_to
from backstay.server.web.page_templates import render_page
from backstay.server.web.reading import ListPosition, OpenedConversation

router = Router(include_in_schema=False, prefix="/conversations")

_MAX_TURNS = (form_limits.MAX_FIELDS - 20) // 3
"""Each turn has three fields."""
_MAX_TEXT_BYTES = form_limits.MAX_FIELD_BYTES * 9 // 10
_Number = Annotated[Annotated[int, Field(ge=1, le=2**31 - 1)] | None, EmptyIsNone]


@dataclass(frozen=True, slots=True)
class FormTurn:
    """A turn in the form."""

    source: int | None
    """The number of the turn that it was; None for a new one."""
    role: str
    text: str
    stored: Turn | None = None
    """The turn that it was, whose other fields stay."""


class EditForm(BaseModel):
    """What the form sends: an action, and all texts. `source`, `role` and `text` have one value for each turn."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: PrintedId
    expected: Digest
    topic: str = ""
    persona: str = ""
    source: list[Annotated[str, Field(pattern=r"^\d{0,9}$")]] = []
    role: list[str] = []
    text: list[str] = []
    action: Annotated[str, Field(pattern=r"^(save|(add|remove|up|down):\d{1,9})$")] = "save"

    def turns(self, base: Conversation | None) -> list[FormTurn]:
        """Return the turns; `base` is the conversation that the form was made from, if it is known."""
        if not len(self.source) == len(self.role) == len(self.text):
            raise Problem(422, "invalid_request", "source, role and text: each turn needs all three")
        stored = base.turns if base is not None else ()
        rows = []
        for source, role, text in zip(self.source, self.role, self.text, strict=True):
            number = int(source) if source and 1 <= int(source) <= len(stored) else None
            turn = stored[number - 1] if number is not None else None
            rows.append(FormTurn(number, role, _typed(text, turn.content if turn is not None else None), turn))
        return rows


class HistoryQuery(OpenedConversation):
    """The query of a conversation's versions: the two that are compared."""

    before: _Number = None
    after: _Number = None


@router.get("/edit")
async def show_form(
    request: Request, services: OwnerServices, opened: Annotated[OpenedConversation, Query()]
) -> Response:
    """Show the form that edits a conversation."""
    conversation = await services.conversations.show(opened.id)
    rows = [FormTurn(number, turn.role, turn.content, turn) for number, turn in enumerate(conversation.turns, start=1)]
    topic, persona = conversation.topic or "", conversation.persona or ""
    return _form(request, opened, opened.id, conversation.digest(), topic, persona, rows)


@router.post("/edit")
async def edit(
    request: Request,
    services: OwnerServices,
    position: Annotated[ListPosition, Query()],
    form: Annotated[EditForm, Form()],
) -> Response:
    """Store the edit; or add, remove or move a turn in the form, which stores nothing.

    Whatever the reason why it is not stored, the response shows what was typed.
    """
    base = await _base(services, form)
    rows = form.turns(base)
    if form.action != "save":
        changed = _changed(rows, form.action)
        return _form(request, position, form.id, form.expected, form.topic, form.persona, changed)
    topic = _typed(form.topic, base.topic if base is not None else None) or None
    persona = _typed(form.persona, base.persona if base is not None else None) or None
    turns = [
        replace(row.stored, role=row.role, content=row.text) if row.stored is not None else Turn(row.role, row.text)
        for row in rows
    ]
    typed = Conversation(turns, topic=topic, persona=persona)
    try:
        edited = await services.edits.edit(form.id, turns=turns, topic=topic, persona=persona, expected=form.expected)
    except ConversationChanged as error:
        return await _conflict(request, services, position, form, base, typed, error)
    except BackstayError as error:
        message = message_for(error).error.message
        typed_fields = (form.topic, form.persona, rows)
        return _form(request, position, form.id, form.expected, *typed_fields, error=message, status=status_of(error))
    saved = "nothing" if edited.digest() == form.expected else "edit"
    return redirect_to(request, "/conversations/one", **position.position_params, id=form.id, saved=saved)


@router.get("/history")
async def show_history(request: Request, services: OwnerServices, query: Annotated[HistoryQuery, Query()]) -> Response:
    """Show the versions of a conversation, and what differs between two: by default what the last edit changed."""
    conversation = await services.conversations.show(query.id)
    versions = await services.edits.versions(query.id)
    is_compared = len(versions) > 1 or query.before is not None or query.after is not None
    compared = await services.edits.compare(query.id, before=query.before, after=query.after) if is_compared else None
    return render_page(
        request,
        "history.html",
        conversation=conversation,
        position=query,
        versions=versions[::-1],
        compared=compared,
    )


@router.post("/revert")
async def revert(
    request: Request,
    services: OwnerServices,
    position: Annotated[ListPosition, Query()],
    conversation_id: Annotated[PrintedId, Form(alias="id")],
    expected: Annotated[Digest, Form()],
    to: Annotated[int, Form(ge=1, le=2**31 - 1)],
) -> Response:
    """Bring back a version, then show its conversation."""
    await services.edits.revert(conversation_id, to=to, expected=expected)
    return redirect_to(request, "/conversations/one", **position.position_params, id=conversation_id, saved="revert")


def _form(
    request: Request,
    position: ListPosition,
    conversation_id: str,
    expected: str,
    topic: str,
    persona: str,
    rows: Sequence[FormTurn],
    *,
    error: str | None = None,
    status: int = 200,
    conflict: Mapping[str, object] | None = None,
) -> Response:
    texts = (topic, persona, *(row.text for row in rows))
    is_too_long = len(rows) > _MAX_TURNS or any(_sent_bytes(text) > _MAX_TEXT_BYTES for text in texts)
    return render_page(
        request,
        "edit.html",
        status=status,
        position=position,
        id=conversation_id,
        expected=expected,
        topic=topic,
        persona=persona,
        rows=rows,
        roles=list(dict.fromkeys([*ROLES, *(row.role for row in rows)])),
        is_too_long=is_too_long,
        error=error,
        conflict=conflict,
        is_unsaved=request.method == "POST",
    )


async def _conflict(
    request: Request,
    services: OwnerServices,
    position: ListPosition,
    form: EditForm,
    base: Conversation | None,
    typed: Conversation,
    error: ConversationChanged,
) -> Response:
    """Show what was changed meanwhile, and what was typed, in a form that stores it over the current version."""
    current = await services.conversations.show(form.id)
    rows = [
        FormTurn(None if source is None else source + 1, turn.role, turn.content, turn)
        for turn, source in zip(typed.turns, match_turns(current.turns, typed.turns), strict=True)
    ]
    conflict = {
        "changed": compare(base, current) if base is not None else None,
        "typed": compare(current, typed),
    }
    return _form(
        request,
        position,
        form.id,
        current.digest(),
        form.topic,
        form.persona,
        rows,
        error=error.message,
        status=status_of(error),
        conflict=conflict,
    )


async def _base(services: OwnerServices, form: EditForm) -> Conversation | None:
    """Return the version that the form was made from; None if another program has changed it since."""
    try:
        current = await services.conversations.show(form.id)
        if current.digest() == form.expected:
            return current
        for version in reversed(await services.edits.versions(form.id)):
            earlier = await services.edits.version(form.id, version.number)
            if earlier.digest() == form.expected:
                return earlier
    except (ConversationNotFound, VersionNotFound):
        pass
    return None


def _changed(rows: list[FormTurn], action: str) -> list[FormTurn]:
    """Return the turns after an action, such as `up:2`, which names the number of a turn."""
    name, _, number = action.partition(":")
    at, changed = int(number) - 1, list(rows)
    if name == "add":
        follows_user = 0 <= at < len(rows) and rows[at].role == "user"
        changed.insert(at + 1, FormTurn(None, "assistant" if follows_user else "user", ""))
    elif 0 <= at < len(rows):
        row = changed.pop(at)
        if name != "remove":
            changed.insert(max(0, at - 1) if name == "up" else at + 1, row)
    return changed


def _typed(text: str, stored: str | None) -> str:
    """Return a text of the form: the stored one, if they differ only in line ends, which browsers change."""
    return stored if stored is not None and _normalize(stored) == _normalize(text) else _normalize(text)


def _normalize(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _sent_bytes(text: str) -> int:
    """Return how many bytes a browser sends for a text: it ends lines with CR LF."""
    return len(text.encode()) + text.count("\n")
