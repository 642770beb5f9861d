"""Changes of what is left of a job: revisions of its recipe, and edits of its items."""

from typing import Annotated, Any

from fastapi import Request
from pydantic import AfterValidator, Field
from starlette.responses import Response

from backstay import limits
from backstay.batch.item_edit import ItemEdit
from backstay.schemas import ItemContentOut, RecipeRevisionsOut, RevisionOut, RevisionPlanOut
from backstay.server.api.batches import Name, check_json
from backstay.server.api.common import (
    ApiInput,
    ItemId,
    JobId,
    OwnerServices,
    State,
    Text,
    errors,
    token_scheme,
)
from backstay.server.idempotency import IdempotencyKey, MakeReceipt, respond_once
from backstay.server.ids_with_slashes import IdRoute
from backstay.server.recipe_revision import RevisionRequest
from backstay.server.routers import Router

router = Router(prefix="/api/batches", tags=["batches"], dependencies=[token_scheme], route_class=IdRoute)

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", examples=["0" * 64])]
Model = Annotated[Text, Field(min_length=1, max_length=limits.MAX_ID)]
Temperature = Annotated[float, Field(ge=0, le=limits.MAX_TEMPERATURE, allow_inf_nan=False, strict=False)]
MaxTokens = Annotated[int, Field(ge=1, le=limits.MAX_ANSWER_TOKENS)]
JsonObject = Annotated[dict[str, Any], AfterValidator(check_json)]


class RecipeIn(ApiInput):
    """Another recipe for all items of a job that are not completed: one of the server's, or changes of the job's."""

    recipe: Name | None = None
    """A recipe of the server's settings."""
    fields: JsonObject | None = None
    """All fields of a recipe, like `recipe` of a job. Only a server on the user's own machine accepts them."""
    model: Model | None = None
    """Another model than in that recipe or, without one, in the job's; the same holds for the next two fields."""
    temperature: Temperature | None = None
    max_tokens: MaxTokens | None = None
    retry_failed: bool = False
    """Apply it to failed items, too, and requeue them."""

    def to_request(self) -> RevisionRequest:
        changes = {"model": self.model, "temperature": self.temperature, "max_tokens": self.max_tokens}
        return RevisionRequest(self.recipe, self.fields, changes, self.retry_failed)


class RevisionIn(RecipeIn):
    plan_digest: Digest | None = None
    """The `digest` of the plan that was shown; if the job has changed since, nothing is changed."""


class ItemEditIn(ApiInput):
    """Changes of an item's content. Fields that are left out stay as they are."""

    topic: Text | None = None
    persona: Text | None = None
    """Null or an empty text for none."""
    set_parameters: JsonObject = Field(default_factory=dict)
    """Parameters to set, with their values."""
    unset_parameters: Annotated[list[Text], Field(max_length=limits.MAX_IDS)] = Field(default_factory=list)
    """Names of parameters to remove."""
    retry: bool = False
    """Requeue the item in the same step, if it failed."""
    digest: Digest | None = None
    """The `digest` of the content that was shown; if it has changed since, nothing is changed."""

    def to_edit(self) -> ItemEdit:
        return ItemEdit(
            self.topic if self.topic is not None else ...,
            self.persona if "persona" in self.model_fields_set else ...,
            self.set_parameters,
            self.unset_parameters,
        )


@router.get("/{jobId:id}/recipe", responses=errors(404))
async def list_revisions(job_id: JobId, services: OwnerServices) -> RecipeRevisionsOut:
    """List the revisions of a job's recipe, the current one last."""
    return RecipeRevisionsOut.from_revisions(await services.batches.revisions(job_id))


@router.post("/{jobId:id}/recipe-plan", responses=errors(403, 404, 409))
async def plan_revision(job_id: JobId, services: OwnerServices, state: State, body: RecipeIn) -> RevisionPlanOut:
    """Show what another recipe would change, for which items, and with how many calls and tokens."""
    return RevisionPlanOut.from_plan(await body.to_request().plan(state, services.owner, job_id))


@router.post("/{jobId:id}/recipe", response_model=RevisionOut, responses=errors(403, 404, 409))
async def revise_recipe(
    request: Request,
    job_id: JobId,
    services: OwnerServices,
    state: State,
    body: RevisionIn,
    key: IdempotencyKey = None,
) -> Response:
    """Revise the recipe of a job, while no worker is alive. A resume then follows it for what is left."""

    async def revise(_: MakeReceipt | None) -> tuple[int, RevisionOut]:
        result = await body.to_request().carry_out(state, services.owner, job_id, body.plan_digest)
        return 200, RevisionOut.from_result(result)

    return await respond_once(request, key, [job_id, body.model_dump(mode="json")], revise)


@router.get("/{jobId:id}/items/{itemId:id}", responses=errors(404))
async def show_item(job_id: JobId, item_id: ItemId, services: OwnerServices) -> ItemContentOut:
    """Show an item with its topic, persona and parameters."""
    return ItemContentOut.from_content(await services.batches.item(job_id, item_id))


@router.patch("/{jobId:id}/items/{itemId:id}", response_model=ItemContentOut, responses=errors(404, 409))
async def edit_item(
    request: Request,
    job_id: JobId,
    item_id: ItemId,
    services: OwnerServices,
    body: ItemEditIn,
    key: IdempotencyKey = None,
) -> Response:
    """Change the topic, persona or parameters of a pending or failed item, after it was checked against the recipe."""

    async def edit(_: MakeReceipt | None) -> tuple[int, ItemContentOut]:
        digest = bytes.fromhex(body.digest) if body.digest is not None else None
        edited = await services.batches.edit_item(job_id, item_id, body.to_edit(), retry=body.retry, digest=digest)
        return 200, ItemContentOut.from_content(edited)

    content = [job_id, item_id, body.model_dump(mode="json", exclude_unset=True)]
    return await respond_once(request, key, content, edit)
