"""Conversations: list, show, import and export."""

from typing import Annotated

from fastapi import File, Form, Query, Request, UploadFile
from pydantic import Field
from starlette.responses import Response

from backstay.coordination.expiring_value import ExpiringValue
from backstay.library.choices import DEFAULT_FORMAT, AddableField, ExportFormat, ImportConflictPolicy
from backstay.library.exports.request import ExportChoices, ExportRequest
from backstay.library.format_options import PairSource
from backstay.library.formats import ReasoningMode, SystemMode
from backstay.library.imports.imported_conversation import ImportResult
from backstay.library.selection import Selection
from backstay.limits import MAX_ID
from backstay.readers.read_options import ReadOptions
from backstay.schemas import ConversationOut, ConversationsOut, ExportPlanOut, ImportOut
from backstay.server import exports, uploads
from backstay.server.api.common import (
    ConversationId,
    OnBadRow,
    OwnCursors,
    OwnerServices,
    State,
    errors,
    token_scheme,
)
from backstay.server.api.reading import Delimiter, Encoding
from backstay.server.api.selections import ConversationsQuery, Id, SelectionIn
from backstay.server.idempotency import IdempotencyKey, MakeReceipt, respond_once
from backstay.server.ids_with_slashes import IdRoute
from backstay.server.routers import Router

router = Router(prefix="/api/conversations", tags=["conversations"], dependencies=[token_scheme], route_class=IdRoute)


class ExportIn(SelectionIn):
    """Conversations that meet every condition, or all if no condition is given; and what is written of them."""

    format: Annotated[ExportFormat, Field(strict=False)] = DEFAULT_FORMAT
    reasoning: Annotated[ReasoningMode, Field(strict=False)] = ReasoningMode.KEEP
    """`inline` writes it before the text, in `<think>` tags."""
    system: Annotated[SystemMode, Field(strict=False)] = SystemMode.KEEP
    metadata: bool = False
    """Whether id, topic, persona and metadata are written too, where the format is JSON."""
    with_fields: list[Annotated[AddableField, Field(strict=False)]] = Field(
        default_factory=list, max_length=len(AddableField)
    )
    """Fields to add to each row: `parameters` are the item's other columns, `usage` the tokens that were used."""
    parsed_arguments: bool = False
    """Whether the arguments of tool calls are written as objects, as most chat templates expect them."""
    pairs: Annotated[PairSource, Field(strict=False)] = PairSource.IMPORTS
    """What preference pairs are made of: conversations that an import linked, or `edits`: the first version, rejected,
    and the current one, chosen."""
    excel: bool = False
    """Whether CSV begins with a byte order mark."""
    lossy: bool = False
    """Whether what the format cannot hold is left out; otherwise it refuses the export."""
    strict: bool = False
    """Whether the export is refused if trainers would refuse a conversation."""

    def to_selection(self) -> Selection:
        """Return the selection. Raises EmptySelection if conditions are given, but all are null or false."""
        if self.model_fields_set.isdisjoint(SelectionIn.model_fields):
            return Selection(everything=True)
        return SelectionIn.to_selection(self)

    def to_choices(self) -> ExportChoices:
        """Return what is written."""
        return {
            "format": self.format,
            "reasoning": self.reasoning,
            "system": self.system,
            "metadata": self.metadata,
            "with_fields": self.with_fields,
            "parsed_arguments": self.parsed_arguments,
            "pairs": self.pairs,
            "excel": self.excel,
            "lossy": self.lossy,
            "strict": self.strict,
        }


@router.get("", responses=errors())
async def list_conversations(
    services: OwnerServices, cursors: OwnCursors, query: Annotated[ConversationsQuery, Query()]
) -> ConversationsOut:
    """List conversations, newest first unless another order is chosen, without the texts of their turns."""
    lists, selection, position = services.conversations.lists, query.to_selection(), query.to_position(cursors)
    page = await lists.page(
        selection,
        sort=query.sort,
        after=None if query.back else position,
        before=position if query.back else None,
        limit=query.limit,
    )
    total = await lists.total(selection, sort=query.sort) if query.total else None
    return ConversationsOut.from_page(page, total=total, cursor=cursors.encode)


@router.post(
    "/export",
    response_class=Response,
    responses={
        **errors(404, 413, 429),
        200: {
            "description": "One line per conversation; in CSV, one row per turn.",
            "content": {
                form.media_type.partition(";")[0]: {"schema": {"type": "string"}} for form in exports.FORMATS.values()
            },
        },
    },
)
async def export_conversations(body: ExportIn, services: OwnerServices, state: State) -> Response:
    """Export conversations for training, oldest first.

    If the format cannot hold something, and `lossy` is false, the error has its counts in `details`. An error after the
    response has begun breaks the connection.
    """
    export_request = ExportRequest.from_choices(**body.to_choices())
    return await exports.respond(services, body.to_selection(), export_request, state.downloads)


@router.post("/export-plan", responses=errors(404, 413, 429))
async def plan_export(body: ExportIn, services: OwnerServices, state: State) -> ExportPlanOut:
    """Return what an export would leave out, and what trainers would refuse, without exporting anything.

    It takes as long as the export, because it reads the same conversations. `lossy` and `strict` have no effect.
    """
    async with state.downloads.slot(services.owner):
        plan = await services.conversations.plan_export(None, body.to_selection(), **body.to_choices())
    return ExportPlanOut.from_result(plan)


@router.post("/import", status_code=201, response_model=ImportOut, responses=errors(408, 409, 413, 415, 429))
async def import_conversations(
    request: Request,
    services: OwnerServices,
    state: State,
    file: Annotated[
        UploadFile,
        File(description="Rows such as messages, ShareGPT or Alpaca (JSONL, JSON or Parquet), or a backup."),
    ],
    on_conflict: Annotated[ImportConflictPolicy, Form(alias="onConflict")] = ImportConflictPolicy.FAIL,
    on_bad_row: Annotated[
        OnBadRow, Form(alias="onBadRow", description="If a row cannot be used: import nothing, or leave it out.")
    ] = "fail",
    strict: Annotated[
        bool, Form(description="Whether to import nothing if trainers would refuse a conversation.")
    ] = False,
    split_reasoning: Annotated[
        bool, Form(alias="splitReasoning", description="Make <think>…</think> at the start of an answer its reasoning.")
    ] = False,
    id_prefix: Annotated[
        Id | None,
        Form(alias="idPrefix", max_length=MAX_ID, description="Text to put before the id of each conversation."),
    ] = None,
    encoding: Encoding = None,
    delimiter: Delimiter = None,
    key: IdempotencyKey = None,
) -> Response:
    """Import the conversations of a file, all or none.

    Rows that cannot be used refuse the file, or are left out and listed. A backup is never imported in part.
    """
    read = ReadOptions(encoding, delimiter)
    async with uploads.store_upload(file, uploads.IMPORT_SUFFIXES, state.files) as upload:

        async def import_(make_receipt: MakeReceipt | None) -> tuple[int, ImportOut]:
            def receipt(result: ImportResult) -> ExpiringValue | None:
                return (
                    make_receipt(201, ImportOut.from_result(result, upload.notes)) if make_receipt is not None else None
                )

            result = await services.conversations.import_file(
                upload.path,
                on_conflict=on_conflict,
                on_bad_row=on_bad_row,
                strict=strict,
                split_reasoning=split_reasoning,
                id_prefix=id_prefix,
                read=read,
                on_note=upload.add_note,
                ceiling=state.settings.import_ceiling,
                receipt=receipt,
            )
            return 201, ImportOut.from_result(result, upload.notes)

        read_content = [upload.digest, upload.suffix, encoding, delimiter]
        content = [*read_content, on_conflict, on_bad_row, strict, split_reasoning, id_prefix]
        return await respond_once(request, key, content, import_)


@router.get("/{conversationId:id}", responses=errors(404))
async def show_conversation(conversation_id: ConversationId, services: OwnerServices) -> ConversationOut:
    """Show one conversation with all its turns."""
    conversation = await services.conversations.show(conversation_id)
    return ConversationOut.from_conversation(conversation, await services.regenerations.history(conversation_id))
