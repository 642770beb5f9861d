"""Creation and download of a backup: the two addresses that the original library had too."""

from typing import Annotated, Literal, Self

from fastapi import Header, Query, Request
from pydantic import Field, model_validator
from starlette.responses import Response

from backstay.backup.backup import Backup
from backstay.library.selection import Selection
from backstay.limits import MAX_REASON
from backstay.schemas import ApiObject, BackupOut, Moment
from backstay.server.api.common import ApiInput, BackupId, OwnerServices, State, Text, errors, token_scheme
from backstay.server.api.selections import Digest, Ids, SelectionIn
from backstay.server.backup_download import BackupResponse, download_ticket_purpose
from backstay.server.idempotency import IdempotencyKey, MakeReceipt, respond_once
from backstay.server.routers import Router
from backstay.server.state import services_of

router = Router(prefix="/api/backup", tags=["backups"], dependencies=[token_scheme])

Reason = Annotated[Text, Field(min_length=1, max_length=MAX_REASON)]
RespondAsync = Annotated[
    str | None,
    Header(alias="Prefer", max_length=200, description="`respond-async`: answer 202 as soon as the backup has begun."),
]


class BackupIn(ApiInput):
    """The conversations to back up, by ids or by a selection like that of a delete."""

    conversation_ids: Ids | None = None
    selection: SelectionIn | None = None
    digest: Digest | None = None
    """The digest of the caller's delete plan; if the selection has changed since, no backup is made."""
    reason: Reason = "manual_backup"

    @model_validator(mode="after")
    def _check_alternatives(self) -> Self:
        if (self.conversation_ids is None) == (self.selection is None):
            raise ValueError("give conversationIds or selection")
        return self

    def to_selection(self) -> Selection:
        """Return the selection to back up. Raises EmptySelection."""
        if self.selection is not None:
            return self.selection.to_selection()
        return Selection(ids=tuple(self.conversation_ids or ()))


class CreatedBackupOut(ApiObject):
    """A backup that has been made and verified."""

    backup_id: str
    file_path: str
    expires_at: Moment | None
    conversation_count: int

    @classmethod
    def from_backup(cls, backup: Backup) -> "CreatedBackupOut":
        return cls.model_validate(BackupOut.from_backup(backup))


class BegunBackupOut(ApiObject):
    """A backup in progress; `status` is the address of its record."""

    backup_id: str
    status: str


@router.post(
    "/create",
    status_code=201,
    response_model=CreatedBackupOut,
    responses={**errors(404, 409, 413, 507), 202: {"model": BegunBackupOut, "description": "The backup has begun."}},
)
async def create_backup(
    request: Request,
    body: BackupIn,
    services: OwnerServices,
    state: State,
    prefer: RespondAsync = None,
    key: IdempotencyKey = None,
) -> Response:
    """Back up all named or selected conversations and verify the backup, or make none."""
    selection = body.to_selection()
    is_large = len(selection.ids) > state.settings.async_above
    respond_early = is_large or "respond-async" in (prefer or "").replace(",", " ").split()

    async def create(_: MakeReceipt | None) -> tuple[int, ApiObject]:
        backup = await state.background_backups.create(
            services, selection, body.reason, digest=body.digest, respond_early=respond_early
        )
        if isinstance(backup, Backup):
            return 201, CreatedBackupOut.from_backup(backup)
        status = f"{request.scope.get('root_path', '')}/api/backups/{backup}"
        return 202, BegunBackupOut(backup_id=backup, status=status)

    return await respond_once(
        request, key, [body.model_dump(mode="json"), respond_early], create, location="/api/backups/{backupId}"
    )


@router.get(
    "/download/{backupId}",
    response_class=Response,
    responses={
        **errors(404, 409, 416, 429),
        200: {
            "description": "The file.",
            "content": {
                "application/json": {"schema": {"type": "object"}},
                "application/zstd": {"schema": {"type": "string", "format": "binary"}},
            },
        },
        206: {
            "description": "The requested range of the stored file.",
            "content": {"application/zstd": {"schema": {"type": "string", "format": "binary"}}},
        },
    },
)
async def download_backup(
    request: Request,
    backup_id: BackupId,
    state: State,
    format: Annotated[Literal["json", "zst"], Query(description="`zst`: the compressed file as stored.")] = "json",  # noqa: A002 - its name in the address
    ticket: Annotated[
        str | None, Query(max_length=200, description="A ticket from `download-ticket`, instead of a token.")
    ] = None,
    range_: Annotated[str | None, Header(alias="Range", description="One range of the stored file.")] = None,
) -> Response:
    """Stream a backup. An error after the response has begun breaks the connection."""
    if request.state.owner is None:
        state.downloads.refuse_when_full()
        # Redeemed last, so that a request refused for another reason does not use up its ticket.
        request.state.owner = await state.backstay.tickets.redeem(ticket or "", download_ticket_purpose(backup_id))
    stored = format == "zst"
    return BackupResponse(
        services_of(request).backups,
        backup_id,
        stored=stored,
        range_header=range_ if stored else None,
        slots=state.downloads,
        idle_seconds=state.settings.idle_seconds,
    )
