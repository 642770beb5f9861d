"""Pages of batches: start one from a file, list all, and show one with its items."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from fastapi import File, Form, Query, Request, UploadFile
from starlette.responses import Response

from backstay.bad_row_policy import BadRowPolicy
from backstay.batch.intake import read_items
from backstay.batch.item import Item, to_item
from backstay.batch.item_columns import ColumnMapping
from backstay.batch.job import FINISHED, Job, JobState
from backstay.errors import BackstayError
from backstay.generate.failure_advice import may_concern_one_item
from backstay.generate.prompt import Prompt
from backstay.generate.recipe import Recipe
from backstay.limits import MAX_NAME
from backstay.readers.bad_rows import BadRows, BadRowsReport
from backstay.readers.compression import COMPRESSED_SUFFIXES
from backstay.readers.read_options import ReadOptions
from backstay.schemas import ItemsOut, JobDetailOut, JobOut, JobsOut, RecipeRevisionsOut
from backstay.server.api.batches import Attempts, Concurrency, JobName, Rpm
from backstay.server.api.common import Cursor, OnBadRow, OwnerServices, State, Text
from backstay.server.api.selections import Id
from backstay.server.remedies import full_message
from backstay.server.requested_processor import requested_processor
from backstay.server.routers import Router
from backstay.server.uploads import ITEM_SUFFIXES, chosen_name, rename_file, suffix_of
from backstay.server.web.forms import EmptyIsNone, FormId, QueryId, ShortText, redirect_to
from backstay.server.web.page_templates import render_page
from backstay.server.web.pending_uploads import FirstRows, PendingUpload, PendingUploads

router = Router(include_in_schema=False, prefix="/batches")

_PAGE_SIZE = 50
_ITEM_PAGE_SIZE = 100
_USUAL_COLUMNS: Mapping[str, Sequence[str]] = {
    "topic": ("topic", "title", "subject", "question", "prompt", "name"),
    "id": ("id", "key", "uuid"),
    "persona": ("persona", "speaker", "audience", "role"),
}


@router.get("")
async def list_batches(request: Request, services: OwnerServices, cursor: Cursor = None) -> Response:
    """Show the form that starts a batch, and list batches, latest first."""
    waiting = await services.waiting_imports.list() if cursor is None else ()
    page = JobsOut.from_page(await services.batches.list(before=cursor, limit=_PAGE_SIZE), waiting, limit=_PAGE_SIZE)
    return render_page(
        request, "batches.html", page=page, kinds=(*ITEM_SUFFIXES, *COMPRESSED_SUFFIXES), is_first=cursor is None
    )


@router.post("/upload")
async def upload_file(request: Request, file: Annotated[UploadFile, File()]) -> Response:
    """Store a file, and redirect to the page where its columns are selected."""
    name = chosen_name(file)
    upload = await _pending_uploads(request).add(
        file.file, name, suffix_of(name, ITEM_SUFFIXES), owner=request.state.owner
    )
    return redirect_to(request, "/batches/new", file=upload.id)


@router.get("/new")
async def prepare(
    request: Request,
    state: State,
    file: Annotated[Text, Query(max_length=100)],
    job_id: Annotated[JobName | None, EmptyIsNone, Query(alias="jobId")] = None,
    writer: Annotated[ShortText, Query()] = None,
    topic: Annotated[ShortText, Query()] = None,
    persona: Annotated[ShortText, Query()] = None,
    id_column: Annotated[ShortText, Query(alias="idColumn")] = None,
    concurrency: Annotated[Concurrency | None, EmptyIsNone, Query()] = None,
    rpm: Annotated[Rpm | None, EmptyIsNone, Query()] = None,
    max_attempts: Annotated[Attempts | None, EmptyIsNone, Query(alias="maxAttempts")] = None,
    encoding: Annotated[ShortText, Query()] = None,
    delimiter: Annotated[ShortText, Query()] = None,
    on_bad_row: Annotated[OnBadRow, Query(alias="onBadRow")] = "fail",
) -> Response:
    """Show the form for columns, the recipe or processor, and options, with the first prompts."""
    upload = _pending_uploads(request).find(file, owner=request.state.owner)
    choices = _writer_choices(state)
    selected = writer if writer in choices else next(iter(choices), None)
    recipe = _selected_recipe(state, selected)
    first, previews, problem = FirstRows(), [], None
    try:
        first = await asyncio.to_thread(upload.read_first_rows, ReadOptions(encoding, delimiter))
        if "topic" not in request.query_params or {topic, persona, id_column} - {None, *first.columns}:
            topic, persona, id_column = (_guess_column(first.columns, role) for role in ("topic", "persona", "id"))
        bad_rows = BadRows(BadRowPolicy(on_bad_row))
        previews = await _preview_prompts(upload, first, ColumnMapping(id_column, topic, persona), recipe, bad_rows)
        if on_bad_row == "fail" and first.bad_rows.count:
            problem = str(first.bad_rows.examples[0]).replace(str(upload.path), upload.name)
    except BackstayError as error:
        problem = full_message(error)
    return render_page(
        request,
        "batch_new.html",
        file=upload,
        columns=first.columns,
        notes=first.notes,
        encoding=encoding,
        delimiter=delimiter,
        on_bad_row=on_bad_row,
        job_id=job_id or upload.job_id,
        choices=choices,
        selected_writer=selected,
        topic=topic,
        persona=persona,
        id_column=id_column,
        previews=previews,
        has_prompts=bool(previews) and recipe is not None,
        caution=recipe.caution if recipe is not None else None,
        problem=problem,
        concurrency=concurrency or state.settings.concurrency,
        rpm=rpm,
        max_attempts=max_attempts or 3,
        has_rate_limit=any(choice.startswith("recipe:") for choice in choices),
        is_scripted_only=state.settings.is_scripted_only,
    )


@router.post("/start")
async def start(
    request: Request,
    services: OwnerServices,
    state: State,
    file: Annotated[Text, Form(max_length=100)],
    job_id: Annotated[JobName, Form(alias="jobId")],
    writer: Annotated[Text, Form(max_length=MAX_NAME)],
    topic: Annotated[ShortText, Form()] = None,
    persona: Annotated[ShortText, Form()] = None,
    id_column: Annotated[ShortText, Form(alias="idColumn")] = None,
    concurrency: Annotated[Concurrency | None, EmptyIsNone, Form()] = None,
    rpm: Annotated[Rpm | None, EmptyIsNone, Form()] = None,
    max_attempts: Annotated[Attempts, Form(alias="maxAttempts")] = 3,
    encoding: Annotated[ShortText, Form()] = None,
    delimiter: Annotated[ShortText, Form()] = None,
    on_bad_row: Annotated[OnBadRow, Form(alias="onBadRow")] = "fail",
) -> Response:
    """Create the job, and start working on it. If rows were left out, say which."""
    upload = _pending_uploads(request).find(file, owner=request.state.owner)
    kind, _, name = writer.partition(":")
    source = requested_processor(
        state.allowed, recipe=name if kind == "recipe" else None, processor=name if kind == "processor" else None
    )
    columns = ColumnMapping(id_column, topic, persona)
    reports = [BadRowsReport()]
    try:
        job = await services.batches.create(
            job_id,
            upload.path,
            source,
            max_attempts=max_attempts,
            columns=columns,
            on_bad_row=on_bad_row,
            report_bad_rows=reports.append,
            read=ReadOptions(encoding, delimiter),
            ceiling=state.settings.item_ceiling,
            concurrency=concurrency,
            rpm=rpm if kind == "recipe" else None,  # the form always sends this field
        )
    except BackstayError as error:
        raise rename_file(error, upload.path, upload.name) from error
    await state.supervisor.start(services.owner, job.id)
    if reports[-1].count:
        return render_page(request, "batch_started.html", file=upload, job=job, bad_rows=reports[-1])
    return redirect_to(request, "/batches/one", id=job.id)


@router.get("/one")
async def show_batch(
    request: Request,
    services: OwnerServices,
    state: State,
    job_id: QueryId,
    cursor: Cursor = None,
    saved: Literal["item"] | None = None,
) -> Response:
    """Show one job with its state, the available actions and its items."""
    job = await services.batches.checkpoint(job_id)
    evidence = await services.batches.evidence(job_id)
    items = await services.batches.items_page(job_id, after=-1 if cursor is None else cursor, limit=_ITEM_PAGE_SIZE)
    return render_page(
        request,
        "batch.html",
        job=JobDetailOut.from_job_and_evidence(job, evidence, await services.batches.deleted_results(job_id)),
        may_skip=job.pause is not None and may_concern_one_item(job.pause.code),
        options=state.permission.options(job),
        is_finished=job.state in FINISHED,
        is_cancelled=job.state is JobState.CANCELLED,
        has_workers=_has_workers(job),
        revisions=RecipeRevisionsOut.from_revisions(await services.batches.revisions(job_id)).revisions,
        page=ItemsOut.from_page(items, limit=_ITEM_PAGE_SIZE),
        is_first=cursor is None,
        saved=saved,
    )


@router.post("/act")
async def perform_action(
    request: Request,
    services: OwnerServices,
    state: State,
    job_id: FormId,
    action: Annotated[
        Literal["resume", "resume-failed", "pause", "cancel", "retry", "retry-deleted", "skip", "discard"], Form()
    ],
    item: Annotated[list[Id] | None, Form()] = None,
    confirm: Annotated[ShortText, Form()] = None,
) -> Response:
    """Perform one action on a job, and show it again."""
    match action:
        case "resume":
            await state.supervisor.resume(services.owner, job_id, confirm=confirm)
        case "resume-failed" | "retry":
            await state.supervisor.resume(services.owner, job_id, confirm=confirm, retries=item)
        case "retry-deleted":
            await services.batches.retry_deleted(job_id)
            if not state.permission.options(await services.batches.checkpoint(job_id)).confirm:
                await state.supervisor.resume(services.owner, job_id)
        case "skip":
            await services.batches.skip(job_id, item or [])
        case "pause":
            await services.batches.pause(job_id)
        case "cancel":
            await services.batches.cancel(job_id)
        case "discard":
            await services.batches.discard(job_id)
            return redirect_to(request, "/batches")
    return redirect_to(request, "/batches/one", id=job_id)


@router.get("/cancel")
async def ask_to_cancel(request: Request, services: OwnerServices, job_id: QueryId) -> Response:
    """Explain the cancellation of a batch, and ask for confirmation."""
    return render_page(request, "cancel.html", job=JobOut.from_job(await services.batches.checkpoint(job_id)))


@router.get("/resume")
async def ask_to_resume(request: Request, services: OwnerServices, state: State, job_id: QueryId) -> Response:
    """Name the function that a batch calls, and ask for confirmation."""
    job = await services.batches.checkpoint(job_id)
    options = state.permission.options(job)
    return render_page(request, "resume.html", job=JobOut.from_job(job), options=options)


@router.get("/discard")
async def ask_to_discard(request: Request, services: OwnerServices, job_id: QueryId) -> Response:
    """Explain the discarding of a batch, which may be an imported one, and ask for confirmation."""
    for waiting in await services.waiting_imports.list():
        if waiting.job_id == job_id:
            return render_page(request, "discard_import.html", job=waiting)
    return render_page(request, "discard.html", job=JobOut.from_job(await services.batches.checkpoint(job_id)))


def _has_workers(job: Job) -> bool:
    # A worker that died keeps its row, and a worker that stops may keep its row for a moment after the job was paused.
    return job.state is JobState.RUNNING or (bool(job.workers) and job.state is not JobState.INTERRUPTED)


def _pending_uploads(request: Request) -> PendingUploads:
    files: PendingUploads = request.app.state.pending_uploads
    return files


def _writer_choices(state: State) -> dict[str, str]:
    """Return the recipes and processors to select from: form values and labels."""
    allowed = state.allowed
    recipes = {f"recipe:{name}": f"{name} ({allowed.recipes[name].model})" for name in sorted(allowed.recipes)}
    return recipes | {f"processor:{name}": name for name in sorted(allowed.processors)}


def _selected_recipe(state: State, selected: str | None) -> Recipe | None:
    kind, _, name = (selected or "").partition(":")
    return state.allowed.recipes.get(name) if kind == "recipe" else None


def _guess_column(columns: Sequence[str], role: str) -> str | None:
    """Return the column with a usual name for this role; if there is none, the first column for topics."""
    by_name = {column.casefold(): column for column in reversed(columns)}
    usual = next((by_name[name] for name in _USUAL_COLUMNS[role] if name in by_name), None)
    return columns[0] if usual is None and role == "topic" and columns else usual


async def _preview_prompts(
    upload: PendingUpload, first: FirstRows, columns: ColumnMapping, recipe: Recipe | None, bad_rows: BadRows
) -> list[tuple[Item, Prompt | None]]:
    """Return the first items, with their prompts if there is a recipe. Raises the error that these columns cause."""
    previews: list[tuple[Item, Prompt | None]] = []
    async for chunk in read_items([dict(row) for row in first.rows], columns, bad_rows=bad_rows):
        for new_item in chunk:
            item = to_item(new_item)
            source = f"{upload.name} row {new_item.line}"
            previews.append((item, recipe.prompts.render(item, source) if recipe is not None else None))
    return previews
