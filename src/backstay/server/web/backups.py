"""Pages of backups: list, show, verify, restore, pin and remove them, and continue interrupted deletes."""

from typing import Annotated, Literal

from fastapi import Form, Query, Request
from starlette.responses import Response

from backstay.errors import BackupDamaged
from backstay.library.choices import RestoreConflictPolicy
from backstay.schemas import BackupOut, BackupsOut, RestorePlanOut
from backstay.server.api.common import Cursor, OwnerServices
from backstay.server.routers import Router
from backstay.server.web.conversations import ListFilters
from backstay.server.web.forms import FormId, QueryId, redirect_to
from backstay.server.web.page_templates import render_page

router = Router(include_in_schema=False, prefix="/backups")

_PAGE_SIZE = 50
_NOTICES = {
    "verified": "The backup is intact: every conversation in it was read back and compared.",
    "pinned": "The backup is pinned and does not expire.",
    "unpinned": "The backup is no longer pinned and will expire.",
    "restored": "The backup has been restored.",
    "continued": "The delete is finished.",
    "undone": "The delete has been undone: the conversations are back in the library.",
    "removed": "The backup has been removed.",
}
_CONFLICT_POLICIES = {
    RestoreConflictPolicy.SKIP: "Keep the versions in the library",
    RestoreConflictPolicy.REPLACE: (
        "Replace them with the versions in the backup; the replaced ones are backed up first"
    ),
}
"""The choices that the page of a restore offers; the first is selected."""

Action = Annotated[str | None, Query(alias="done")]
"""The action that a form has just performed: a key of `_NOTICES`."""


@router.get("")
async def list_backups(
    request: Request, services: OwnerServices, cursor: Cursor = None, every: bool = False, action: Action = None
) -> Response:
    """List backups, latest first, and interrupted deletes before them."""
    backups = await services.backups.list(include_removed=every, before=cursor, limit=_PAGE_SIZE)
    unfinished = await services.backups.with_unfinished_delete() if cursor is None else ()
    return render_page(
        request,
        "backups.html",
        page=BackupsOut.from_page(backups, limit=_PAGE_SIZE),
        unfinished=[BackupOut.from_backup(backup) for backup in unfinished],
        is_first=cursor is None,
        every=every,
        notice=_NOTICES.get(action or ""),
    )


@router.get("/one")
async def show_backup(request: Request, services: OwnerServices, backup_id: QueryId, action: Action = None) -> Response:
    """Show one backup and the available actions."""
    backup = BackupOut.from_backup(await services.backups.show(backup_id))
    return render_page(request, "backup.html", backup=backup, notice=_NOTICES.get(action or ""))


@router.get("/restore")
async def plan_restore(request: Request, services: OwnerServices, backup_id: QueryId) -> Response:
    """Show the plan of a restore, and ask for confirmation."""
    backup = BackupOut.from_backup(await services.backups.show(backup_id))
    plan = RestorePlanOut.from_plan(await services.backups.plan_restore(backup_id))
    return render_page(request, "restore.html", backup=backup, plan=plan, policies=_CONFLICT_POLICIES)


@router.get("/remove")
async def ask_to_remove(request: Request, services: OwnerServices, backup_id: QueryId) -> Response:
    """Explain the removal of a backup, and ask for confirmation."""
    backup = BackupOut.from_backup(await services.backups.show(backup_id))
    return render_page(request, "remove.html", backup=backup)


@router.post("/restore")
async def restore(
    request: Request,
    services: OwnerServices,
    backup_id: FormId,
    filters: Annotated[ListFilters, Query()],
    on_conflict: Annotated[RestoreConflictPolicy, Form(alias="onConflict")] = RestoreConflictPolicy.FAIL,
    back: Annotated[Literal["backups", "conversations"], Form()] = "backups",
) -> Response:
    """Restore a backup; then show it again, or the filtered list of conversations."""
    await services.backups.restore(backup_id, on_conflict=on_conflict)
    if back == "conversations":
        return redirect_to(request, "/conversations", undone="yes", **filters.params)
    return redirect_to(request, "/backups/one", id=backup_id, done="restored")


@router.post("/act")
async def perform_action(
    request: Request,
    services: OwnerServices,
    backup_id: FormId,
    action: Annotated[Literal["verify", "pin", "unpin", "remove", "continue", "undo"], Form()],
) -> Response:
    """Perform one action on a backup, and show it again."""
    match action:
        case "verify":
            try:
                await services.backups.verify(backup_id)
            except BackupDamaged:
                return redirect_to(request, "/backups/one", id=backup_id)  # the page shows the damage, and since when
            notice = "verified"
        case "pin":
            await services.backups.pin(backup_id)
            notice = "pinned"
        case "unpin":
            await services.backups.unpin(backup_id)
            notice = "unpinned"
        case "remove":
            await services.backups.delete(backup_id)
            return redirect_to(request, "/backups", done="removed")
        case "continue":
            await services.conversations.resume_delete(backup_id)
            notice = "continued"
        case "undo":
            await services.backups.restore(backup_id)
            notice = "undone"
    return redirect_to(request, "/backups/one", id=backup_id, done=notice)
