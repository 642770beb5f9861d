"""Deletion of conversations: plan, back up, verify, then delete. Deleting without a backup must be explicit."""

from typing import Literal, Self

from fastapi import Request
from pydantic import model_validator
from starlette.responses import Response

from backstay.backup.backup import Listener
from backstay.library.deletion import DeleteResult
from backstay.schemas import DeletePlanOut, DeleteResultOut
from backstay.server.api.backup_files import Reason
from backstay.server.api.common import ApiInput, OwnerServices, State, errors, stream_responses, token_scheme
from backstay.server.api.selections import Digest, Id, SelectionIn
from backstay.server.events.delete_stream import respond_delete
from backstay.server.idempotency import IdempotencyKey, MakeReceipt, respond_once, run_once
from backstay.server.routers import Router

WithoutBackup = Literal["delete for good"]
"""What a person types to delete without a backup."""

router = Router(prefix="/api/conversations", tags=["conversations"], dependencies=[token_scheme])


class DeletePlanIn(ApiInput):
    selection: SelectionIn
    ignore_missing: bool = False
    """Skip ids that do not exist, instead of refusing the request."""


class DeleteIn(ApiInput):
    """A planned delete, by its selection and digest; or an interrupted delete, by its backup."""

    selection: SelectionIn | None = None
    digest: Digest | None = None
    """The digest of the plan. If the selection has changed since, nothing is deleted."""
    reason: Reason = "bulk_delete"
    continue_backup_id: Id | None = None
    """Continue the delete that this backup was made for."""
    ignore_missing: bool = False
    """Skip ids that do not exist, like the plan did."""
    without_backup: WithoutBackup | None = None
    """Make no backup, so that the conversations cannot be restored. A person should have typed this."""

    @model_validator(mode="after")
    def _check_alternatives(self) -> Self:
        is_new = self.continue_backup_id is None
        if (self.selection is not None) != is_new or (self.digest is not None) != is_new:
            raise ValueError("give either the selection and digest of a plan, or continueBackupId")
        has_options_of_new_delete = (
            self.without_backup is not None or self.ignore_missing or "reason" in self.model_fields_set
        )
        if has_options_of_new_delete and not is_new:
            raise ValueError(
                "reason, withoutBackup and ignoreMissing apply only to a new delete, and continueBackupId continues one"
            )
        return self


@router.post("/delete-plan", responses=errors(404, 413))
async def plan_delete(body: DeletePlanIn, services: OwnerServices) -> DeletePlanOut:
    """Plan a delete without changing anything."""
    selection = body.selection.to_selection()
    return DeletePlanOut.from_plan(
        await services.conversations.plan_delete(selection, ignore_missing=body.ignore_missing)
    )


@router.post("/delete", response_model=DeleteResultOut, responses=errors(404, 409, 413, 507))
async def delete_conversations(
    request: Request, body: DeleteIn, services: OwnerServices, key: IdempotencyKey = None
) -> Response:
    """Back up, verify, then delete conversations. The response names the backup that undoes the delete.

    Conversations that changed after the backup had read them are kept, and the response lists their ids.
    """

    async def delete(_: MakeReceipt | None) -> tuple[int, DeleteResultOut]:
        return 200, _with_undo(request, await _delete(body, services))

    return await respond_once(request, key, body.model_dump(mode="json"), delete)


@router.post(
    "/delete/events",
    responses={
        **errors(404, 409, 413, 429, 507),
        **stream_responses("progress", "deleted", "error", is_resumable=False),
    },
    response_class=Response,
)
async def follow_delete(
    request: Request, body: DeleteIn, services: OwnerServices, state: State, key: IdempotencyKey = None
) -> Response:
    """Delete conversations and report the progress through server-sent events.

    `progress` holds the phase (`writing`, `verifying`, `deleting`) and the progress in it; the last event is `deleted`
    or `error`. The delete continues if the client disconnects: the record of its backup then shows the result, and the
    same request with the same `Idempotency-Key` returns it. A delete without a backup has no record, so it needs a key.
    """

    async def work(on_progress: Listener) -> DeleteResultOut:
        async def delete(_: MakeReceipt | None) -> tuple[int, DeleteResultOut]:
            return 200, _with_undo(request, await _delete(body, services, on_progress))

        stored, _ = await run_once(request, key, body.model_dump(mode="json"), delete)
        return DeleteResultOut.model_validate(stored.body)

    return await respond_delete(state, work)


async def _delete(body: DeleteIn, services: OwnerServices, on_progress: Listener | None = None) -> DeleteResult:
    if body.selection is None:
        return await services.conversations.resume_delete(str(body.continue_backup_id), on_progress=on_progress)
    selection = body.selection.to_selection()
    plan = await services.conversations.plan_delete(selection, ignore_missing=body.ignore_missing)
    return await services.conversations.delete(
        plan, backup=body.without_backup is None, plan_digest=body.digest, reason=body.reason, on_progress=on_progress
    )


def _with_undo(request: Request, result: DeleteResult) -> DeleteResultOut:
    root = request.scope.get("root_path", "")
    undo_path = f"{root}/api/backups/{result.backup_id}/restore" if result.backup_id is not None else None
    return DeleteResultOut.from_result(result, undo=undo_path)
