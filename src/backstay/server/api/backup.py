"""The two addresses that apps written for the original know."""

from typing import Annotated, Literal, Self

from fastapi import APIRouter, Header, Query, Request
from pydantic import Field, model_validator
from starlette.responses import Response

from backstay.backup.backup import Backup
from backstay.library.selection import Selection
from backstay.schemas import ApiObject, BackupOut, Moment
from backstay.server.api.common import ApiInput, BackupId, OwnerServices, State, Text, errors, signed_in
from backstay.server.api.selections import Digest, Ids, SelectionIn
from backstay.server.background_backups import StartedBackup
from backstay.server.downloads import BackupResponse, purpose_of
from backstay.server.idempotency import IdempotencyKey, MakeNote, once
from backstay.server.state import services_of

router = APIRouter(prefix="/api/backup", tags=["backups"], dependencies=[signed_in])

Reason = Annotated[Text, Field(min_length=1, max_length=100)]
RespondAsync = Annotated[
    str | None,
    Header(alias="Prefer", max_length=200, description="`respond-async`: answer 202 once the backup has begun."),
]


class BackupIn(ApiInput):
    """Conversations, by ids or by a selection as in a delete."""

    conversation_ids: Ids | None = None
    selection: SelectionIn | None = None
    digest: Digest | None = None
    """The digest of a delete's plan: if the selection has changed since, no backup is made. The caller deletes."""
    reason: Reason = "manual_backup"

    @model_validator(mode="after")
    def _is_one_of_two(self) -> Self:
        if (self.conversation_ids is None) == (self.selection is None):
            raise ValueError("give conversationIds or selection")
        return self

    def chosen(self) -> Selection:
        """Return the selection to back up. Raises EmptySelection."""
        if self.selection is not None:
            return self.selection.selection()
        return Selection(ids=tuple(self.conversation_ids or ()))


class CreatedBackupOut(ApiObject):
    """A backup that was made and verified."""

    backup_id: str
    file_path: str
    expires_at: Moment | None
    conversation_count: int

    @classmethod
    def from_backup(cls, backup: Backup) -> "CreatedBackupOut":
        shown = BackupOut.from_backup(backup)
        return cls(
            backup_id=shown.backup_id,
            file_path=shown.file_path,
            expires_at=shown.expires_at,
            conversation_count=shown.conversation_count,
        )


class BegunBackupOut(ApiObject):
    """A backup that is being made; `status` is where to see how it goes."""

    backup_id: str
    status: str


@router.post(
    "/create",
    status_code=201,
    response_model=CreatedBackupOut,
    responses={**errors(404, 409, 413, 507), 202: {"model": BegunBackupOut, "description": "It is being made."}},
)
async def create_backup(
    request: Request,
    given: BackupIn,
    services: OwnerServices,
    state: State,
    prefer: RespondAsync = None,
    key: IdempotencyKey = None,
) -> Response:
    """Back up conversations: all of those named or selected, verified, or nothing."""
    chosen = given.chosen()
    many = len(chosen.ids) > state.settings.async_above
    early = many or "respond-async" in (prefer or "").replace(",", " ").split()

    async def act(_: MakeNote | None) -> tuple[int, ApiObject]:
        made = await state.background_backups.create(
            services, chosen, given.reason, digest=given.digest, respond_early=early
        )
        if isinstance(made, StartedBackup):
            status = f"{request.scope.get('root_path', '')}/api/backups/{made.backup_id}"
            return 202, BegunBackupOut(backup_id=made.backup_id, status=status)
        return 201, CreatedBackupOut.from_backup(made)

    return await once(request, key, [given.model_dump(mode="json"), early], act, location="/api/backups/{backupId}")


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
            "description": "The part of the stored file that was asked for.",
            "content": {"application/zstd": {"schema": {"type": "string", "format": "binary"}}},
        },
    },
)
async def download_backup(
    request: Request,
    backup_id: BackupId,
    state: State,
    format: Annotated[Literal["json", "zst"], Query(description="`zst`: the file as it is stored.")] = "json",  # noqa: A002 - its name in the address
    ticket: Annotated[
        str | None, Query(max_length=200, description="Instead of a token: from download-ticket.")
    ] = None,
    range_: Annotated[str | None, Header(alias="Range", description="One range; of the stored file only.")] = None,
) -> Response:
    """Download a backup, streamed. Errors after the beginning break the connection off."""
    if request.state.owner is None:
        state.downloads.refuse_when_full()
        # Last, so that a request refused for another reason does not use up its ticket.
        request.state.owner = await state.backstay.tickets.redeem(ticket or "", purpose_of(backup_id))
    stored = format == "zst"
    return BackupResponse(
        services_of(request).backups,
        backup_id,
        stored=stored,
        wanted=range_ if stored else None,
        slots=state.downloads,
        idle_seconds=state.settings.idle_seconds,
    )
