"""Conversations as pages: found, read, selected, deleted, exported."""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal, Self

from fastapi import APIRouter, Form, Query, Request
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from starlette.responses import Response, StreamingResponse

from backstay.errors import BackstayError
from backstay.library.id_text import LONGEST_ID, id_of_printed, printed_id
from backstay.library.selection import Selection
from backstay.schemas import BackupOut, ConversationOut, ConversationsOut, DeletePlanOut
from backstay.server import exports
from backstay.server.api.common import LARGEST, OwnerServices, State, Text
from backstay.server.api.selections import MOST_IDS
from backstay.server.problems import Problem
from backstay.server.web.forms import EmptyIsNone, FormText, redirect_to
from backstay.server.web.rendering import rendered

router = APIRouter(include_in_schema=False, prefix="/conversations")

_PAGE = 50
_WITHOUT_BACKUP = "delete for good"

Search = Annotated[Text | None, EmptyIsNone]
ConversationName = Annotated[Text, Query(min_length=1, alias="id")]
PrintedId = Annotated[Text, AfterValidator(id_of_printed)]
"""Browsers change the line breaks of an old id when they send it."""


class ListFilters(BaseModel):
    """What a list is narrowed to; the same fields in addresses and in forms."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    search: Search = None
    job: Search = None
    persona: Search = None
    before: Annotated[date | None, EmptyIsNone] = None

    @property
    def is_empty(self) -> bool:
        return self.given == {}

    @property
    def given(self) -> dict[str, Any]:
        """What is given, as an address says it."""
        fields = self.model_dump(include=set(ListFilters.model_fields))
        return {name: str(value) for name, value in fields.items() if value is not None}

    def selection(self) -> Selection:
        """Return all that match, said to be all where everything does."""
        before = self.before
        return Selection(
            job_id=self.job,
            search=self.search,
            persona=self.persona,
            created_before=datetime(before.year, before.month, before.day, tzinfo=UTC) if before is not None else None,
            everything=self.is_empty,
        )


class ListQuery(ListFilters):
    """The query of the list: a page of it, and the result of the delete or undo that led here."""

    cursor: Annotated[Annotated[int, Field(ge=0, le=LARGEST)] | None, EmptyIsNone] = None
    deleted: str | None = None
    deleted_for_good: Annotated[str, Query(alias="deletedForGood")] = ""
    restored: str | None = None


class FormSelection(ListFilters):
    """The selection of a form: printed ids, in `id` and, one a line, in `ids`; or all that match."""

    scope: Literal["selected", "all"] = "selected"
    id: list[PrintedId] = []
    ids: FormText = ""

    @property
    def chosen_ids(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys([*self.id, *(id_of_printed(line) for line in self.ids.split("\n") if line)]))

    def selection(self) -> Selection:
        """Return what is selected. Raises EmptySelection: nothing is."""
        if self.scope == "all":
            return super().selection()
        if len(self.chosen_ids) > MOST_IDS:
            raise Problem(413, "too_many", f"Select {MOST_IDS:,} conversations at most, or all that match")
        return Selection(ids=self.chosen_ids).check()

    def without(self, gone: Sequence[str]) -> Self:
        """Return the same without some of its ids."""
        rest = [one for one in self.chosen_ids if one not in frozenset(gone)]
        return self.model_copy(update={"id": [], "ids": "\n".join(printed_id(one) for one in rest)})


class DeleteForm(FormSelection):
    """What is to be deleted, once somebody has seen the plan and agreed."""

    digest: Annotated[str, Query(pattern=r"^[0-9a-f]{64}$")]
    backup: Literal["yes", "no"] = "yes"
    confirmation: str = ""


class ExportForm(FormSelection):
    """What is to be exported."""

    format: Literal["messages", "native", "sharegpt", "csv"] = "messages"


@router.get("")
async def list_conversations(
    request: Request,
    services: OwnerServices,
    listed: Annotated[ListQuery, Query()],
) -> Response:
    """Those that match, the newest first; and how the last delete ended, where one has led here."""
    found = await services.conversations.list(listed.selection(), before=listed.cursor, limit=_PAGE)
    return rendered(
        request,
        "conversations.html",
        section="conversations",
        page=ConversationsOut.from_page(found, limit=_PAGE),
        filters=listed,
        is_first=listed.cursor is None,
        done=await _done(services, listed.deleted),
        deleted_for_good=listed.deleted_for_good[:20],
        is_restored=listed.restored is not None,
    )


@router.get("/one")
async def show_conversation(request: Request, services: OwnerServices, conversation_id: ConversationName) -> Response:
    """One conversation with its turns."""
    shown = ConversationOut.from_conversation(await services.conversations.show(conversation_id))
    return rendered(request, "conversation.html", section="conversations", conversation=shown)


@router.post("/delete-plan")
async def plan_delete(request: Request, services: OwnerServices, chosen: Annotated[FormSelection, Form()]) -> Response:
    """Show what would be deleted, and ask; ids that are not there any more are left out, and counted."""
    gone = await services.conversations.missing(chosen.selection(), limit=MOST_IDS)
    left = chosen.without(gone)
    if gone and not left.chosen_ids:
        return _gone(request, gone, left)
    plan = DeletePlanOut.from_plan(await services.conversations.plan_delete(left.selection()))
    return rendered(
        request,
        "delete.html",
        section="conversations",
        plan=plan,
        gone=len(gone),
        chosen=left,
        keep_days=backup_days(request),
        phrase=_WITHOUT_BACKUP,
    )


@router.post("/delete")
async def delete(request: Request, services: OwnerServices, doomed: Annotated[DeleteForm, Form()]) -> Response:
    """Back up, verify, delete; then show the list, and how to undo it."""
    if doomed.backup == "no" and doomed.confirmation.strip().casefold() != _WITHOUT_BACKUP:
        raise Problem(
            422,
            "not_confirmed",
            f"Nothing was deleted: without a backup, “{_WITHOUT_BACKUP}” has to be typed first",
        )
    deletion = await services.conversations.delete(
        doomed.selection(), backup=doomed.backup == "yes", digest=doomed.digest, reason="bulk_delete"
    )
    if deletion.backup_id is None:
        return redirect_to(request, "/conversations", deletedForGood=deletion.deleted)
    return redirect_to(request, "/conversations", deleted=deletion.backup_id)


@router.post("/export")
async def export(
    request: Request, services: OwnerServices, state: State, wanted: Annotated[ExportForm, Form()]
) -> Response:
    """Download what is selected, as a file for training; where some of it is gone, say so and offer the rest."""
    if gone := await services.conversations.missing(wanted.selection(), limit=MOST_IDS):
        return _gone(request, gone, wanted.without(gone))
    blocks = exports.exported(services, wanted.selection(), wanted.format, state.downloads)
    ending = "csv" if wanted.format == "csv" else "jsonl"
    return StreamingResponse(
        await exports.first_of(blocks),
        media_type=exports.MEDIA_TYPES[wanted.format],
        headers={"Content-Disposition": f'attachment; filename="conversations.{wanted.format}.{ending}"'},
    )


def _gone(request: Request, gone: Sequence[str], left: FormSelection) -> Response:
    return rendered(request, "gone.html", status=404, section="conversations", gone=gone, left=left)


def backup_days(request: Request) -> int:
    """Return for how many days backups are kept."""
    return int(request.app.state.app_state.backstay.settings.backup_retention.days)


async def _done(services: OwnerServices, backup_id: str | None) -> BackupOut | None:
    """Return the backup of the delete that has led here, or that was undone."""
    if backup_id is None or len(backup_id) > LONGEST_ID or not backup_id.isprintable():
        return None
    try:
        return BackupOut.from_backup(await services.backups.show(backup_id))
    except BackstayError:
        return None
