"""Pages of conversations: import, search, read, select, delete and export them."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal, Self, get_args

from fastapi import File, Form, Query, Request, UploadFile
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from starlette.responses import Response

from backstay.batch.job import Job, JobState
from backstay.errors import BackstayError, LossyExport, RefusedByTrainers
from backstay.library.choices import DEFAULT_FORMAT, ExportFormat, ImportConflictPolicy
from backstay.library.exports.request import ExportChoices, ExportRequest
from backstay.library.id_text import parse_printed_id, printed_id
from backstay.library.lists import Sort
from backstay.library.review import ReviewStatus
from backstay.library.selection import Selection
from backstay.limits import MAX_ID, MAX_IDS, MAX_INTEGER, MAX_NAME, MAX_PERSONA, MAX_SEARCH, MAX_TAG
from backstay.readers.compression import COMPRESSED_SUFFIXES
from backstay.readers.read_options import ReadOptions
from backstay.schemas import BackupOut, ConversationsOut, DeletePlanOut
from backstay.server import exports, uploads
from backstay.server.api.common import OnBadRow, OwnCursors, OwnerServices, State, Text
from backstay.server.api.deletes import WithoutBackup
from backstay.server.api.selections import Count, ListCursor, SelectionIn, position_of
from backstay.server.problems import Problem
from backstay.server.routers import Router
from backstay.server.web.forms import EmptyIsNone, FormText, ShortText, redirect_to
from backstay.server.web.list_positions import position_params, start_of_page
from backstay.server.web.page_templates import render_page

router = Router(include_in_schema=False, prefix="/conversations")

_PAGE_SIZE = 50
_ADDED_FIELDS = ("id", "parameters", "usage")
_MAX_JOBS = 100
_MAX_LIVE_JOBS = 3  # each takes a connection of the browser
_SORTS: Mapping[Sort, str] = {
    Sort.NEWEST: "Newest first",
    Sort.OLDEST: "Oldest first",
    Sort.LONGEST: "Longest first",
    Sort.SHORTEST: "Shortest first",
    Sort.MOST_TURNS: "Most turns first",
    Sort.FEWEST_TURNS: "Fewest turns first",
    Sort.HIGHEST_RATED: "Highest rated first",
    Sort.LOWEST_RATED: "Lowest rated first",
}
(_CONFIRMATION_PHRASE,) = get_args(WithoutBackup)

PrintedId = Annotated[Text, AfterValidator(parse_printed_id)]
"""An id that a form sends in its printed form, because browsers change line breaks in form values."""


class ListFilters(BaseModel):
    """The filters of the list, with the same fields in addresses and forms."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    # Each limit is inside the optional type: outside, it would apply to None as well.
    search: Annotated[Annotated[Text, Field(max_length=MAX_SEARCH)] | None, EmptyIsNone] = None
    job: Annotated[Text | None, EmptyIsNone] = None
    topic: Annotated[Annotated[Text, Field(max_length=MAX_SEARCH)] | None, EmptyIsNone] = None
    persona: Annotated[Annotated[Text, Field(max_length=MAX_PERSONA)] | None, EmptyIsNone] = None
    model: Annotated[Annotated[Text, Field(max_length=MAX_NAME)] | None, EmptyIsNone] = None
    min_turns: Annotated[Count | None, EmptyIsNone, Field(alias="minTurns")] = None
    max_turns: Annotated[Count | None, EmptyIsNone, Field(alias="maxTurns")] = None
    min_characters: Annotated[Count | None, EmptyIsNone, Field(alias="minCharacters")] = None
    max_characters: Annotated[Count | None, EmptyIsNone, Field(alias="maxCharacters")] = None
    tools: Annotated[Literal["with", "without"] | None, EmptyIsNone] = None
    created_after: Annotated[date | None, EmptyIsNone, Field(alias="createdAfter")] = None
    created_before: Annotated[date | None, EmptyIsNone, Field(alias="createdBefore")] = None
    import_id: Annotated[Annotated[Text, Field(max_length=MAX_ID)] | None, EmptyIsNone, Field(alias="import")] = None
    edited: bool = False
    status: Annotated[ReviewStatus | None, EmptyIsNone] = None
    rating_from: Annotated[int | None, EmptyIsNone, Field(alias="ratingFrom")] = None
    rating_below: Annotated[int | None, EmptyIsNone, Field(alias="ratingBelow")] = None
    unrated: bool = False
    reviewed_by: Annotated[
        Annotated[Text, Field(max_length=MAX_NAME)] | None, EmptyIsNone, Field(alias="reviewedBy")
    ] = None
    note: Annotated[Annotated[Text, Field(max_length=MAX_SEARCH)] | None, EmptyIsNone] = None
    tag: Annotated[Annotated[Text, Field(max_length=MAX_TAG)] | None, EmptyIsNone] = None
    untagged: bool = False

    @property
    def is_empty(self) -> bool:
        return self.params == {}

    @property
    def params(self) -> dict[str, Any]:
        """The filters that are set, as query parameters."""
        fields = self.model_dump(include=set(ListFilters.model_fields), by_alias=True)
        return {name: "true" if value is True else str(value) for name, value in fields.items() if value}

    @property
    def has_more(self) -> bool:
        """Whether a filter is set that is not always visible."""
        return not self.params.keys() <= {"search", "job", "model", "status"}

    @property
    def for_api(self) -> dict[str, Any]:
        """The filters that are set, as the API names them in a selection."""
        conditions: dict[str, Any] = self._conditions
        if "tags" in conditions:
            conditions["tags"] = list(conditions["tags"])
        return SelectionIn.model_construct(**conditions).model_dump(mode="json", by_alias=True, include=set(conditions))

    def to_selection(self) -> Selection:
        """Return the selection of all matching conversations."""
        return Selection(everything=self.is_empty, **self._conditions)

    @property
    def _conditions(self) -> dict[str, Any]:
        conditions = {
            "job_id": self.job,
            "search": self.search,
            "topic_contains": self.topic,
            "persona_contains": self.persona,
            "model": self.model,
            "min_turns": self.min_turns,
            "max_turns": self.max_turns,
            "min_characters": self.min_characters,
            "max_characters": self.max_characters,
            "has_tools": self.tools == "with" if self.tools is not None else None,
            "created_after": _start_of(self.created_after),
            "created_before": _start_of(self.created_before),
            "import_id": self.import_id,
            "status": self.status,
            "rating_from": self.rating_from,
            "rating_below": self.rating_below,
            "unrated": self.unrated or None,
            "reviewed_by": self.reviewed_by,
            "note_contains": self.note,
            "tags": (self.tag,) if self.tag is not None else None,
            "untagged": self.untagged or None,
            "edited": self.edited or None,
        }
        return {name: value for name, value in conditions.items() if value is not None}


class SortedFilters(ListFilters):
    """The filters and the order of the list."""

    sort: Annotated[Sort, BeforeValidator(lambda value: value or Sort.NEWEST)] = Sort.NEWEST

    @property
    def list_params(self) -> dict[str, Any]:
        """The filters and the order, as query parameters of the first page."""
        return {**self.params, **({"sort": self.sort.value} if self.sort is not Sort.NEWEST else {})}


class ListQuery(SortedFilters):
    """The query of the list: filters, an order, a page, and the result of what redirected here."""

    cursor: Annotated[ListCursor | None, EmptyIsNone] = None
    back: bool = False
    around: bool = False
    """Whether the cursor is the position of the conversation with the number `first`, anywhere on the page."""
    first: Annotated[int, Field(ge=1, le=MAX_INTEGER)] = 1
    """The number of the first conversation of the page in the list."""
    delete_backup_id: Annotated[str | None, Field(alias="deleteBackupId")] = None
    deleted_without_backup: Annotated[
        Annotated[int, Field(ge=0, le=MAX_INTEGER)] | None, EmptyIsNone, Field(alias="deletedWithoutBackup")
    ] = None
    undone: bool = False
    reviewed: Annotated[Annotated[int, Field(ge=0, le=MAX_INTEGER)] | None, EmptyIsNone] = None
    put_back: Annotated[bool, Field(alias="putBack")] = False

    @property
    def place(self) -> dict[str, Any]:
        """The query parameters of the shown page of the list."""
        if self.cursor is None:
            return self.list_params
        page = {"cursor": self.cursor, "first": self.first, **({"back": "true"} if self.back else {})}
        return {**self.list_params, **page}

    def starting_at(self, cursor: int | str | None) -> Self:
        """Return the query of the page around the conversation with the number `first`, which begins at a cursor."""
        first = self.first - (self.first - 1) % _PAGE_SIZE if cursor is not None else 1
        place = {"cursor": None if cursor is None else str(cursor), "first": first, "around": False, "back": False}
        return self.model_copy(update=place)


class FormSelection(ListFilters):
    """The selection of a form: all matches, or printed ids in `id` and, one per line, in `ids`."""

    scope: Literal["selected", "all"] = "selected"
    id: list[PrintedId] = []
    ids: FormText = ""

    @property
    def selected_ids(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys([*self.id, *(parse_printed_id(line) for line in self.ids.split("\n") if line)]))

    def to_selection(self) -> Selection:
        """Return the selection. Raises EmptySelection if it selects nothing, Problem if it has too many ids."""
        if self.scope == "all":
            return super().to_selection()
        if len(self.selected_ids) > MAX_IDS:
            raise Problem(413, "too_many", f"Select at most {MAX_IDS:,} conversations, or all that match")
        return Selection(ids=self.selected_ids).check()

    def without(self, gone: Sequence[str]) -> Self:
        """Return the selection without some of its ids."""
        gone_ids = frozenset(gone)
        rest = [selected_id for selected_id in self.selected_ids if selected_id not in gone_ids]
        return self.model_copy(update={"id": [], "ids": "\n".join(printed_id(selected_id) for selected_id in rest)})


class DeleteForm(FormSelection):
    """The confirmed selection of a delete."""

    digest: Annotated[str, Query(pattern=r"^[0-9a-f]{64}$")]
    backup: Literal["yes", "no"] = "yes"
    confirmation: str = ""


class ExportForm(FormSelection):
    """The selection and format of an export. All matches are exported if nothing is selected."""

    format: ExportFormat = DEFAULT_FORMAT
    with_fields: Annotated[bool, Field(alias="withFields")] = False
    """Whether ids, the input's other columns and the used tokens are added to each row."""
    confirmed: bool = False
    """Whether the user confirmed the losses and warnings that the plan of the export shows."""

    def to_selection(self) -> Selection:
        """Return the selection. Raises Problem if it has too many ids."""
        return super().to_selection() if self.selected_ids else ListFilters.to_selection(self)

    def to_choices(self) -> ExportChoices:
        """Return what is written. The native format has every field anyway."""
        return {
            "format": self.format,
            "with_fields": _ADDED_FIELDS if self.with_fields and self.format != "native" else (),
            "lossy": self.confirmed,
            "strict": exports.FORMATS[self.format].is_for_training and not self.confirmed,
        }


@router.get("")
async def list_conversations(
    request: Request, services: OwnerServices, cursors: OwnCursors, filters: Annotated[ListQuery, Query()]
) -> Response:
    """List matching conversations, and show the result of what redirected here."""
    lists, selection = services.conversations.lists, filters.to_selection()
    position = position_of(filters.cursor, filters.sort, cursors)
    if filters.around and position is not None:
        position = await start_of_page(
            lists, selection, position, sort=filters.sort, number=filters.first, size=_PAGE_SIZE
        )
        filters = filters.starting_at(position.to_cursor(filters.sort, cursors.encode) if position else None)
    after, before = (None, position) if filters.back else (position, None)
    page, total, models, jobs = await asyncio.gather(
        lists.page(selection, sort=filters.sort, after=after, before=before, limit=_PAGE_SIZE),
        lists.total(selection, sort=filters.sort),
        lists.models(),
        services.batches.list(limit=_MAX_JOBS),
    )
    return render_page(
        request,
        "conversations.html",
        page=ConversationsOut.from_page(page, cursor=cursors.encode),
        addresses=[
            {**filters.list_params, **position_params(summary, page.sort, cursors, number, total)}
            for number, summary in enumerate(page.conversations, start=filters.first)
        ],
        total=total,
        filters=filters,
        models=_with_choice(models, filters.model),
        jobs=_with_choice([job.id for job in jobs], filters.job),
        sorts=_SORTS,
        live=_running(jobs, filters),
        page_size=_PAGE_SIZE,
        delete_backup=await _find_backup(services, filters.delete_backup_id),
        formats=exports.FORMATS,
        statuses=list(ReviewStatus),
    )


@router.get("/import")
async def prepare_import(request: Request) -> Response:
    """Show the form that imports a file."""
    return render_page(request, "import.html", kinds=(*uploads.IMPORT_SUFFIXES, *COMPRESSED_SUFFIXES))


@router.post("/import")
async def import_file(
    request: Request,
    services: OwnerServices,
    state: State,
    file: Annotated[UploadFile, File()],
    on_conflict: Annotated[ImportConflictPolicy | None, EmptyIsNone, Form(alias="onConflict")] = None,
    on_bad_row: Annotated[OnBadRow, Form(alias="onBadRow")] = "fail",
    strict: Annotated[bool, Form()] = False,
    split_reasoning: Annotated[bool, Form(alias="splitReasoning")] = False,
    id_prefix: Annotated[ShortText, Form(alias="idPrefix")] = None,
    encoding: Annotated[ShortText, Form()] = None,
    delimiter: Annotated[ShortText, Form()] = None,
) -> Response:
    """Import the conversations of a file, all or none, and show the result."""
    read, name = ReadOptions(encoding, delimiter), uploads.chosen_name(file)
    async with uploads.store_upload(file, uploads.IMPORT_SUFFIXES, state.files, name=name) as upload:
        result = await services.conversations.import_file(
            upload.path,
            on_conflict=on_conflict or ImportConflictPolicy.FAIL,
            on_bad_row=on_bad_row,
            strict=strict,
            split_reasoning=split_reasoning,
            id_prefix=id_prefix,
            read=read,
            on_note=upload.add_note,
            ceiling=state.settings.import_ceiling,
        )
    return render_page(request, "imported.html", file=upload, result=result)


@router.post("/delete-plan")
async def plan_delete(
    request: Request, services: OwnerServices, state: State, form: Annotated[FormSelection, Form()]
) -> Response:
    """Show the plan of a delete, and ask for confirmation. Ids that no longer exist are omitted, and counted."""
    gone = await services.conversations.missing(form.to_selection(), limit=MAX_IDS)
    remaining = form.without(gone)
    if gone and not remaining.selected_ids:
        return gone_page(request, gone, remaining)
    plan = DeletePlanOut.from_plan(await services.conversations.plan_delete(remaining.to_selection()))
    return render_page(
        request,
        "delete.html",
        plan=plan,
        gone=len(gone),
        selection=remaining,
        keep_days=state.backstay.settings.backup_retention.days,
        phrase=_CONFIRMATION_PHRASE,
    )


@router.post("/delete")
async def delete(request: Request, services: OwnerServices, form: Annotated[DeleteForm, Form()]) -> Response:
    """Back up, verify and delete; then show the list with an undo button."""
    if form.backup == "no" and form.confirmation.strip().casefold() != _CONFIRMATION_PHRASE:
        raise Problem(
            422,
            "not_confirmed",
            f"Nothing was deleted: to delete without a backup, type “{_CONFIRMATION_PHRASE}” first",
        )
    result = await services.conversations.delete(
        form.to_selection(), backup=form.backup == "yes", plan_digest=form.digest, reason="bulk_delete"
    )
    if result.backup_id is None:
        return redirect_to(request, "/conversations", deletedWithoutBackup=result.deleted)
    return redirect_to(request, "/conversations", deleteBackupId=result.backup_id)


@router.post("/export")
async def export(
    request: Request, services: OwnerServices, state: State, form: Annotated[ExportForm, Form()]
) -> Response:
    """Export the selection as a file for training.

    If some conversations are gone, show them and offer the rest. If the format cannot hold something, or trainers would
    refuse a conversation, show the plan and ask for confirmation.
    """
    if gone := await services.conversations.missing(form.to_selection(), limit=MAX_IDS):
        return gone_page(request, gone, form.without(gone))
    export_request = ExportRequest.from_choices(**form.to_choices())
    try:
        return await exports.respond(services, form.to_selection(), export_request, state.downloads)
    except (LossyExport, RefusedByTrainers):
        async with state.downloads.slot(services.owner):
            plan = await services.conversations.plan_export(None, form.to_selection(), **form.to_choices())
        return render_page(request, "export_plan.html", status=422, form=form, formats=exports.FORMATS, plan=plan)


def _start_of(day: date | None) -> datetime | None:
    return datetime(day.year, day.month, day.day, tzinfo=UTC) if day is not None else None


def _with_choice(choices: Sequence[str], chosen: str | None) -> Sequence[str]:
    """Return choices of a filter, with the one that is set, whether or not it is among them."""
    return choices if chosen is None or chosen in choices else [chosen, *choices]


def _running(jobs: Sequence[Job], filters: ListQuery) -> dict[str, int]:
    """Return the running batches whose new conversations belong on the page, with what they have completed."""
    if filters.params.keys() - {"job"} or filters.cursor is not None or filters.sort is not Sort.NEWEST:
        return {}
    running = [job for job in jobs if job.state is JobState.RUNNING and filters.job in (None, job.id)]
    return {job.id: job.counts.completed for job in running[:_MAX_LIVE_JOBS]}


def gone_page(request: Request, gone: Sequence[str], remaining: FormSelection) -> Response:
    """Show the selected conversations that no longer exist, and offer the rest."""
    return render_page(request, "gone.html", status=404, gone=gone, remaining=remaining)


async def _find_backup(services: OwnerServices, backup_id: str | None) -> BackupOut | None:
    """Return the backup with an id from an address; None if it cannot be shown."""
    if backup_id is None or len(backup_id) > MAX_ID or not backup_id.isprintable():
        return None
    try:
        return BackupOut.from_backup(await services.backups.show(backup_id))
    except BackstayError:
        return None
