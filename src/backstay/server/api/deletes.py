"""Deleting conversations: planned, backed up, verified, then deleted. Any other way has to be spelled out."""

from typing import Literal, Self

from fastapi import APIRouter, Request
from pydantic import model_validator
from starlette.responses import Response

from backstay.backup.backup import Listener
from backstay.library.deletion import DeleteResult
from backstay.schemas import DeletePlanOut, DeleteResultOut
from backstay.server.api.backup import Reason
from backstay.server.api.common import STREAM, ApiInput, OwnerServices, State, errors, signed_in
from backstay.server.api.selections import Digest, Id, SelectionIn
from backstay.server.events.delete_stream import deleting
from backstay.server.idempotency import IdempotencyKey, MakeNote, answer_once, once

router = APIRouter(prefix="/api/conversations", tags=["conversations"], dependencies=[signed_in])


class DeletePlanIn(ApiInput):
    selection: SelectionIn
    ignore_missing: bool = False
    """Leave ids out that are not there, instead of refusing."""


class DeleteIn(ApiInput):
    """A delete that was planned, by its selection and the plan's digest; or one that was cut off, by its backup."""

    selection: SelectionIn | None = None
    digest: Digest | None = None
    """Of the plan: when anything else is selected by now, nothing is deleted."""
    reason: Reason = "bulk_delete"
    continue_backup_id: Id | None = None
    """Go on with the delete that this backup was made for."""
    ignore_missing: bool = False
    """As the plan was made: leave ids out that are not there."""
    without_backup: Literal["delete for good"] | None = None
    """Make no backup: nothing brings these conversations back. A person is to have typed this."""

    @model_validator(mode="after")
    def _is_one_of_two(self) -> Self:
        planned = self.selection is not None and self.digest is not None
        if planned == (self.continue_backup_id is not None) or (self.selection is None) != (self.digest is None):
            raise ValueError("give selection and digest of a plan, or continueBackupId")
        if (self.without_backup is not None or self.ignore_missing) and not planned:
            raise ValueError("a delete that is continued has its backup and its ids")
        return self


@router.post("/delete-plan", responses=errors(404, 413))
async def plan_delete(given: DeletePlanIn, services: OwnerServices) -> DeletePlanOut:
    """Say what a delete would remove; nothing is changed."""
    selection = given.selection.selection()
    return DeletePlanOut.from_plan(
        await services.conversations.plan_delete(selection, ignore_missing=given.ignore_missing)
    )


@router.post("/delete", response_model=DeleteResultOut, responses=errors(404, 409, 413, 507))
async def delete_conversations(
    request: Request, given: DeleteIn, services: OwnerServices, key: IdempotencyKey = None
) -> Response:
    """Back up, verify, delete; the answer names the backup that undoes it.

    Conversations that somebody changed after the backup had read them are kept, and named.
    """

    async def act(_: MakeNote | None) -> tuple[int, DeleteResultOut]:
        return 200, _told(request, await _delete(given, services))

    return await once(request, key, given.model_dump(mode="json"), act)


@router.post("/delete/events", responses={**errors(404, 409, 413, 429, 507), **STREAM}, response_class=Response)
async def follow_delete(
    request: Request, given: DeleteIn, services: OwnerServices, state: State, key: IdempotencyKey = None
) -> Response:
    """Delete as above, and tell how it goes by server-sent events.

    `progress` tells the phase (`writing`, `verifying`, `deleting`) and how far it has come; the last event is
    `deleted`, or `error`. The delete continues when the client disconnects; its backup's record shows the
    result, and the same request under the same key returns it.
    """

    async def work(tell: Listener) -> DeleteResultOut:
        async def act(_: MakeNote | None) -> tuple[int, DeleteResultOut]:
            return 200, _told(request, await _delete(given, services, tell))

        answer, _ = await answer_once(request, key, given.model_dump(mode="json"), act)
        return DeleteResultOut.model_validate(answer.body)

    return await deleting(state, work)


async def _delete(given: DeleteIn, services: OwnerServices, tell: Listener | None = None) -> DeleteResult:
    if given.selection is None:
        return await services.conversations.resume_delete(str(given.continue_backup_id), on_progress=tell)
    selection = given.selection.selection()
    plan = await services.conversations.plan_delete(selection, ignore_missing=given.ignore_missing)
    return await services.conversations.delete(
        plan,
        backup=given.without_backup is None,
        digest=given.digest,
        reason=given.reason,
        on_progress=tell,
    )


def _told(request: Request, deletion: DeleteResult) -> DeleteResultOut:
    root = request.scope.get("root_path", "")
    undo = f"{root}/api/backups/{deletion.backup_id}/restore" if deletion.backup_id is not None else None
    return DeleteResultOut.from_result(deletion, undo=undo)
