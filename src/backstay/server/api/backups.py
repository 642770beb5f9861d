"""Backups: list, show, verify, restore, pin and remove."""

from functools import partial
from typing import Annotated

from fastapi import Query, Request
from pydantic import Field
from starlette.responses import Response

from backstay.library.choices import RestoreConflictPolicy
from backstay.library.selection import Selection
from backstay.schemas import ApiObject, BackupOut, BackupsOut, Moment, RestorePlanOut, RestoreResultOut
from backstay.server.api.common import (
    ApiInput,
    BackupId,
    Cursor,
    LastEventId,
    Limit,
    OwnCursors,
    OwnerServices,
    State,
    errors,
    stream_responses,
    token_scheme,
)
from backstay.server.api.selections import Ids
from backstay.server.backup_download import download_ticket_purpose
from backstay.server.events.backup_feed import BackupFeed
from backstay.server.events.response import EventsResponse
from backstay.server.idempotency import IdempotencyKey, MakeReceipt, respond_once
from backstay.server.routers import Router

router = Router(prefix="/api/backups", tags=["backups"], dependencies=[token_scheme])


class RestoreIn(ApiInput):
    conversation_ids: Ids | None = None
    """Some of the backup's conversations; all if omitted."""
    on_conflict: Annotated[RestoreConflictPolicy, Field(strict=False)] = RestoreConflictPolicy.FAIL

    def to_selection(self) -> Selection | None:
        return Selection(ids=tuple(self.conversation_ids)) if self.conversation_ids is not None else None


class TicketOut(ApiObject):
    """An address that downloads the backup once, without a token, until it expires."""

    url: str
    expires_at: Moment


@router.get("", responses=errors())
async def list_backups(
    services: OwnerServices,
    cursors: OwnCursors,
    every: Annotated[bool, Query(description="Include backups whose files are gone.")] = False,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> BackupsOut:
    """List backups, latest first."""
    page = await services.backups.list(include_removed=every, before=cursors.decode(cursor), limit=limit)
    return BackupsOut.from_page(page, limit=limit, cursor=cursors.encode)


@router.get("/{backupId}", responses=errors(404))
async def show_backup(backup_id: BackupId, services: OwnerServices) -> BackupOut:
    """Show one backup."""
    return BackupOut.from_backup(await services.backups.show(backup_id))


@router.get(
    "/{backupId}/events",
    responses={**errors(404, 429), **stream_responses("progress", "state")},
    response_class=Response,
)
async def backup_events(
    backup_id: BackupId, services: OwnerServices, state: State, last_event_id: LastEventId = None
) -> Response:
    """Follow a backup, or the delete it was made for, through server-sent events: `progress` and `state`."""
    create_feed = partial(
        BackupFeed,
        services.backups,
        backup_id,
        latest=state.background_backups.latest,
        poll_seconds=state.settings.poll_seconds,
    )
    return EventsResponse(state.hub, "backup", services.owner, backup_id, create_feed, last_event_id)


@router.post("/{backupId}/verify", responses=errors(404, 409))
async def verify_backup(backup_id: BackupId, services: OwnerServices) -> BackupOut:
    """Read and decode the whole backup, and compare it with its snapshot."""
    return BackupOut.from_backup(await services.backups.verify(backup_id))


@router.post("/{backupId}/restore-plan", responses=errors(404, 409))
async def plan_restore(backup_id: BackupId, services: OwnerServices, body: RestoreIn | None = None) -> RestorePlanOut:
    """Plan a restore without changing anything."""
    selection = body.to_selection() if body is not None else None
    return RestorePlanOut.from_plan(await services.backups.plan_restore(backup_id, selection))


@router.post("/{backupId}/restore", response_model=RestoreResultOut, responses=errors(404, 409))
async def restore_backup(
    request: Request,
    backup_id: BackupId,
    services: OwnerServices,
    body: RestoreIn | None = None,
    key: IdempotencyKey = None,
) -> Response:
    """Restore a backup, all or nothing. Idempotent."""
    options = body or RestoreIn()

    async def restore(_: MakeReceipt | None) -> tuple[int, RestoreResultOut]:
        result = await services.backups.restore(backup_id, options.to_selection(), on_conflict=options.on_conflict)
        return 200, RestoreResultOut.from_result(result)

    return await respond_once(request, key, [backup_id, options.model_dump(mode="json")], restore)


@router.post("/{backupId}/pin", responses=errors(404, 409))
async def pin_backup(backup_id: BackupId, services: OwnerServices) -> BackupOut:
    """Pin a backup, so that it never expires."""
    return BackupOut.from_backup(await services.backups.pin(backup_id))


@router.post("/{backupId}/unpin", responses=errors(404, 409))
async def unpin_backup(backup_id: BackupId, services: OwnerServices) -> BackupOut:
    """Unpin a backup, so that it expires again."""
    return BackupOut.from_backup(await services.backups.unpin(backup_id))


@router.post("/{backupId}/download-ticket", status_code=201, response_model=TicketOut, responses=errors(404, 409))
async def issue_download_ticket(
    backup_id: BackupId, request: Request, services: OwnerServices, state: State
) -> TicketOut:
    """Create an address for `window.open` in a browser, which downloads a backup once, within a minute."""
    await services.backups.show(backup_id)
    ticket = await state.backstay.tickets.issue(services.owner, download_ticket_purpose(backup_id))
    url = f"{request.scope.get('root_path', '')}/api/backup/download/{backup_id}?ticket={ticket.secret}"
    return TicketOut(url=url, expires_at=ticket.expires_at)


@router.delete("/{backupId}", responses=errors(404, 409))
async def delete_backup(backup_id: BackupId, services: OwnerServices) -> BackupOut:
    """Remove a backup before it expires. The conversations in the library do not change."""
    await services.backups.delete(backup_id)
    return BackupOut.from_backup(await services.backups.show(backup_id))
