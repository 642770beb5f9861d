"""Making conversations again: plan, then back up and start the jobs that replace them; and undo."""

from fastapi import Request
from starlette.responses import Response

from backstay.schemas import RegenerationPlanOut, RegenerationStartOut, RestoreResultOut
from backstay.server.api.batches import Name
from backstay.server.api.common import ApiInput, OwnerServices, State, errors, token_scheme
from backstay.server.api.selections import Digest, Id, SelectionIn
from backstay.server.idempotency import IdempotencyKey, MakeReceipt, respond_once
from backstay.server.regenerations import RegenerationChoice, RequestedRegeneration
from backstay.server.routers import Router

router = Router(prefix="/api/conversations", tags=["conversations"], dependencies=[token_scheme])


class RegenerationPlanIn(ApiInput):
    """Conversations to make again: with `recipe` or `processor`, names from the server's settings, or with `model`.

    Without any of them, each is made again by the recipe or the function of its job.
    """

    selection: SelectionIn
    recipe: Name | None = None
    processor: Name | None = None
    model: Name | None = None
    """The model that replaces the one in the recipe of each job."""
    confirm: Name | None = None
    """The function that the jobs call, if the server's settings do not name it."""

    @property
    def choice(self) -> RegenerationChoice:
        return RegenerationChoice(self.recipe, self.processor, self.model, self.confirm)


class RegenerationIn(RegenerationPlanIn):
    digest: Digest
    """The digest of the plan. If the selection has changed since, nothing is made again."""


class RegenerationUndoIn(ApiInput):
    backup_id: Id


@router.post("/regenerate-plan", responses=errors(403, 404, 409, 413))
async def plan_regeneration(body: RegenerationPlanIn, services: OwnerServices, state: State) -> RegenerationPlanOut:
    """Plan to make conversations again, without changing anything or calling a model.

    With any `problems`, nothing can be made again until the selection leaves those conversations out.
    """
    requested = RequestedRegeneration(state, services, body.selection.to_selection(), body.choice)
    return RegenerationPlanOut.from_plan(await requested.plan())


@router.post(
    "/regenerate", status_code=202, response_model=RegenerationStartOut, responses=errors(403, 404, 409, 413, 429, 507)
)
async def regenerate_conversations(
    request: Request, body: RegenerationIn, services: OwnerServices, state: State, key: IdempotencyKey = None
) -> Response:
    """Back up conversations, and start the jobs that make them again in the background of this server.

    As each new conversation is finished, it takes the place of the old one. The jobs are shown, paused and resumed like
    others; one that exceeds the limit of concurrent jobs waits to be resumed.
    """
    requested = RequestedRegeneration(state, services, body.selection.to_selection(), body.choice)

    async def regenerate(_: MakeReceipt | None) -> tuple[int, RegenerationStartOut]:
        return 202, RegenerationStartOut.from_start(await requested.start(body.digest))

    return await respond_once(request, key, body.model_dump(mode="json"), regenerate)


@router.post("/regenerate-undo", response_model=RestoreResultOut, responses=errors(404, 409, 413, 507))
async def undo_regeneration(
    request: Request, body: RegenerationUndoIn, services: OwnerServices, key: IdempotencyKey = None
) -> Response:
    """Put back the conversations in a backup that were made again. The new ones are backed up first."""

    async def undo(_: MakeReceipt | None) -> tuple[int, RestoreResultOut]:
        return 200, RestoreResultOut.from_result(await services.regenerations.undo(body.backup_id))

    return await respond_once(request, key, body.model_dump(mode="json"), undo)
