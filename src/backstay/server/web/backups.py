"""Backups as pages: listed, looked at, verified, restored, pinned, removed; and deletes that were cut off."""

from typing import Annotated, Literal

from fastapi import APIRouter, Form, Query, Request
from starlette.responses import Response

from backstay.clock import SystemClock
from backstay.errors import BackupDamaged
from backstay.schemas import BackupOut, BackupsOut, RestorePlanOut
from backstay.server.api.common import Cursor, OwnerServices
from backstay.server.web.conversations import ListFilters
from backstay.server.web.forms import FormName, Name, redirect_to
from backstay.server.web.rendering import rendered

router = APIRouter(include_in_schema=False, prefix="/backups")

_PAGE = 50
_NOTICES = {
    "verified": "Read back and compared: every conversation in it is as it was.",
    "pinned": "Pinned: it does not expire.",
    "unpinned": "Unpinned: it expires in its time.",
    "restored": "Restored: what was missing is in the library again.",
    "continued": "The delete is finished.",
    "undone": "Undone: the conversations are in the library again.",
    "removed": "The backup was removed.",
}

Done = Annotated[str | None, Query()]
"""What the form that led here did to the backup."""


@router.get("")
async def list_backups(
    request: Request, services: OwnerServices, cursor: Cursor = None, every: bool = False, done: Done = None
) -> Response:
    """All backups, the latest first; deletes that were cut off before them."""
    found = await services.backups.list(every=every, before=cursor, limit=_PAGE)
    unfinished = await services.backups.unfinished() if cursor is None else ()
    return rendered(
        request,
        "backups.html",
        section="backups",
        page=BackupsOut.from_page(found, limit=_PAGE),
        unfinished=[BackupOut.from_backup(backup) for backup in unfinished],
        is_first=cursor is None,
        every=every,
        notice=_NOTICES.get(done or ""),
        now=SystemClock().now(),
    )


@router.get("/one")
async def show_backup(request: Request, services: OwnerServices, backup_id: Name, done: Done = None) -> Response:
    """One backup, and what can be done with it."""
    shown = BackupOut.from_backup(await services.backups.show(backup_id))
    return rendered(request, "backup.html", section="backups", backup=shown, notice=_NOTICES.get(done or ""))


@router.get("/restore")
async def plan_restore(request: Request, services: OwnerServices, backup_id: Name) -> Response:
    """Show what a restore would do, and ask."""
    shown = BackupOut.from_backup(await services.backups.show(backup_id))
    plan = RestorePlanOut.from_plan(await services.backups.plan_restore(backup_id))
    return rendered(request, "restore.html", section="backups", backup=shown, plan=plan)


@router.get("/remove")
async def ask_to_remove(request: Request, services: OwnerServices, backup_id: Name) -> Response:
    """Say what removing a backup means, and ask."""
    shown = BackupOut.from_backup(await services.backups.show(backup_id))
    return rendered(request, "remove.html", section="backups", backup=shown)


@router.post("/restore")
async def restore(
    request: Request,
    services: OwnerServices,
    backup_id: FormName,
    filters: Annotated[ListFilters, Query()],
    on_conflict: Annotated[Literal["fail", "skip", "replace"], Form(alias="onConflict")] = "fail",
    back: Annotated[Literal["backups", "conversations"], Form()] = "backups",
) -> Response:
    """Bring back what the backup holds; then show it again, or the list as it was narrowed."""
    await services.backups.restore(backup_id, on_conflict=on_conflict)
    if back == "conversations":
        return redirect_to(request, "/conversations", restored="yes", **filters.given)
    return redirect_to(request, "/backups/one", id=backup_id, done="restored")


@router.post("/act")
async def act(
    request: Request,
    services: OwnerServices,
    backup_id: FormName,
    action: Annotated[Literal["verify", "pin", "unpin", "remove", "continue", "undo"], Form()],
) -> Response:
    """Do one thing to a backup, and show it again."""
    match action:
        case "verify":
            try:
                await services.backups.verify(backup_id)
            except BackupDamaged:
                return redirect_to(request, "/backups/one", id=backup_id)  # which says so, and since when
            done = "verified"
        case "pin":
            await services.backups.pin(backup_id)
            done = "pinned"
        case "unpin":
            await services.backups.unpin(backup_id)
            done = "unpinned"
        case "remove":
            await services.backups.delete(backup_id)
            return redirect_to(request, "/backups", done="removed")
        case "continue":
            await services.conversations.resume_delete(backup_id)
            done = "continued"
        case "undo":
            await services.backups.restore(backup_id)
            done = "undone"
    return redirect_to(request, "/backups/one", id=backup_id, done=done)
