"""Pages that change what is left of a batch: revisions of its recipe, and edits of its items."""

import asyncio
from collections.abc import Mapping
from types import EllipsisType
from typing import Annotated, Any, Literal

import orjson
from fastapi import File, Form, Query, Request, UploadFile
from starlette.responses import Response

from backstay.batch.item_edit import ItemContent, ItemEdit
from backstay.batch.job import JobState
from backstay.errors import BackstayError, InvalidRow
from backstay.generate.recipe_file import SUFFIXES, read
from backstay.limits import MAX_ID
from backstay.schemas import ItemContentOut, JobOut, RecipeRevisionsOut, RevisionPlanOut
from backstay.server.api.common import OwnerServices, State, Text
from backstay.server.api.revisions import Digest, MaxTokens, Temperature
from backstay.server.problems import Problem, message_for, status_of
from backstay.server.recipe_revision import RevisionRequest
from backstay.server.routers import Router
from backstay.server.uploads import chosen_name, file_name, rename_file
from backstay.server.web.forms import EmptyIsNone, FormId, FormText, QueryId, ShortText, redirect_to
from backstay.server.web.page_templates import render_page
from backstay.server.web.pending_uploads import PendingUpload, PendingUploads

router = Router(include_in_schema=False, prefix="/batches")

OptionalText = Annotated[ShortText, Form()]
OptionalTemperature = Annotated[Temperature | None, EmptyIsNone, Form()]
OptionalMaxTokens = Annotated[MaxTokens | None, EmptyIsNone, Form(alias="maxTokens")]
RetryFailed = Annotated[Literal["true", "false"], Form(alias="retryFailed")]


@router.get("/recipe")
async def show_recipe(request: Request, services: OwnerServices, state: State, job_id: QueryId) -> Response:
    """Show the revisions of a batch's recipe, and the form for another one."""
    job = await services.batches.checkpoint(job_id)
    return render_page(
        request,
        "recipe.html",
        job=JobOut.from_job(job),
        is_cancelled=job.state is JobState.CANCELLED,
        revisions=RecipeRevisionsOut.from_revisions(await services.batches.revisions(job_id)).revisions,
        names=sorted(state.allowed.recipes),
        accepts_any=state.permission.is_own_machine(),
        kinds=SUFFIXES,
    )


@router.post("/recipe-plan")
async def plan_revision(
    request: Request,
    services: OwnerServices,
    state: State,
    job_id: FormId,
    file: Annotated[UploadFile | None, File()] = None,
    recipe: OptionalText = None,
    model: OptionalText = None,
    temperature: OptionalTemperature = None,
    max_tokens: OptionalMaxTokens = None,
    retry_failed: RetryFailed = "false",
) -> Response:
    """Show what another recipe changes, and ask for confirmation."""
    upload = await _store_recipe(request, file) if file is not None and file.filename else None
    changes = {"model": model, "temperature": temperature, "max_tokens": max_tokens}
    fields = await _read_recipe(upload) if upload is not None else None
    revision = RevisionRequest(recipe, fields, changes, retry_failed == "true")
    plan = await revision.plan(state, services.owner, job_id)
    return render_page(
        request,
        "recipe_plan.html",
        plan=RevisionPlanOut.from_plan(plan),
        chosen=revision,
        upload_id=upload.id if upload is not None else None,
    )


@router.post("/recipe")
async def revise_recipe(
    request: Request,
    services: OwnerServices,
    state: State,
    job_id: FormId,
    digest: Annotated[Digest, Form()],
    upload: OptionalText = None,
    recipe: OptionalText = None,
    model: OptionalText = None,
    temperature: OptionalTemperature = None,
    max_tokens: OptionalMaxTokens = None,
    retry_failed: RetryFailed = "false",
) -> Response:
    """Revise the recipe as the plan showed it, and show the batch again."""
    file = _pending_uploads(request).find(upload, owner=services.owner) if upload is not None else None
    fields = await _read_recipe(file) if file is not None else None
    changes = {"model": model, "temperature": temperature, "max_tokens": max_tokens}
    revision = RevisionRequest(recipe, fields, changes, retry_failed == "true")
    await revision.carry_out(state, services.owner, job_id, digest)
    return redirect_to(request, "/batches/one", id=job_id)


@router.get("/item")
async def show_item(
    request: Request,
    services: OwnerServices,
    job_id: QueryId,
    item: Annotated[Text, Query(min_length=1, max_length=MAX_ID)],
) -> Response:
    """Show the form that edits an item."""
    return _item_page(request, job_id, await services.batches.item(job_id, item))


@router.post("/item")
async def edit_item(
    request: Request,
    services: OwnerServices,
    job_id: FormId,
    item: Annotated[Text, Form(min_length=1, max_length=MAX_ID)],
    digest: Annotated[Digest, Form()],
    topic: FormText,
    persona: FormText = "",
    parameters: FormText = "",
    action: Annotated[Literal["save", "retry"], Form()] = "save",
) -> Response:
    """Edit an item as the form says, and show the batch again.

    Whatever the reason why it is not stored, the response shows what was typed.
    """
    before = await services.batches.item(job_id, item)
    try:
        values = _parse_parameters(parameters)
        removed = before.parameters.keys() - values.keys()
        edit = ItemEdit(_changed(topic, before.topic), _changed(persona, before.persona), values, removed)
        await services.batches.edit_item(job_id, item, edit, retry=action == "retry", digest=bytes.fromhex(digest))
    except BackstayError as error:
        typed = {"topic": topic, "persona": persona, "parameters": parameters}
        return _item_page(request, job_id, await services.batches.item(job_id, item), typed=typed, error=error)
    return redirect_to(request, "/batches/one", id=job_id, saved="item")


def _item_page(
    request: Request,
    job_id: str,
    content: ItemContent,
    *,
    typed: Mapping[str, str] | None = None,
    error: BackstayError | None = None,
) -> Response:
    """Return the page of an item; with an `error`, with what was `typed` in its form."""
    parameters = (
        orjson.dumps(dict(content.parameters), option=orjson.OPT_INDENT_2).decode() if content.parameters else ""
    )
    stored = {"topic": content.topic or "", "persona": content.persona or "", "parameters": parameters}
    return render_page(
        request,
        "item.html",
        status=200 if error is None else status_of(error),
        job_id=job_id,
        item=ItemContentOut.from_content(content),
        typed=typed or stored,
        error=message_for(error).error.message if error is not None else None,
    )


def _changed(text: str, before: str | None) -> str | EllipsisType:
    """Return the text of a form; `...` if only line breaks differ, which a browser does not keep."""
    return ... if text.splitlines() == (before or "").splitlines() else text


def _parse_parameters(text: str) -> dict[str, Any]:
    try:
        values = orjson.loads(text) if text.strip() else {}
    except ValueError as error:
        raise InvalidRow(f"The parameters are not valid JSON: {error}", field="parameters") from error
    if not isinstance(values, dict):
        message = 'The parameters must be a JSON object, such as {"audience": "children"}'
        raise InvalidRow(message, field="parameters")
    return values


async def _store_recipe(request: Request, file: UploadFile) -> PendingUpload:
    name = chosen_name(file)
    suffix = next((suffix for suffix in SUFFIXES if file_name(name).lower().endswith(suffix)), None)
    if suffix is None:
        raise Problem(415, "unsupported_file", f"The file's name must end in {', '.join(SUFFIXES)}", field="file")
    return await _pending_uploads(request).add(file.file, name, suffix, owner=request.state.owner)


async def _read_recipe(upload: PendingUpload) -> Mapping[str, Any]:
    try:
        return await asyncio.to_thread(read, upload.path)
    except BackstayError as error:
        raise rename_file(error, upload.path, upload.name) from error


def _pending_uploads(request: Request) -> PendingUploads:
    files: PendingUploads = request.app.state.pending_uploads
    return files
