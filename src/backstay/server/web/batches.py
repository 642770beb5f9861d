"""Batches as pages: started from a file, listed, and one with its items."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

from fastapi import APIRouter, File, Form, Query, Request, UploadFile
from starlette.responses import Response

from backstay.batch.intake import ColumnMapping, read_items
from backstay.batch.item import to_item
from backstay.batch.job import FINISHED, Job, JobState
from backstay.errors import BackstayError
from backstay.generate.advice import may_concern_one_item
from backstay.generate.recipe import Recipe
from backstay.schemas import ItemsOut, JobDetailOut, JobOut, JobsOut
from backstay.server.api.batches import Attempts, Concurrency, JobName, Rpm
from backstay.server.api.common import Cursor, OwnerServices, State, Text
from backstay.server.api.selections import Id
from backstay.server.hints import message_of
from backstay.server.problems import Problem
from backstay.server.processors import processor_from
from backstay.server.uploads import ITEMS
from backstay.server.web.forms import EmptyIsNone, FormName, Name, ShortText, redirect_to
from backstay.server.web.pending_uploads import PendingUpload, PendingUploads, renamed
from backstay.server.web.rendering import rendered

router = APIRouter(include_in_schema=False, prefix="/batches")

_PAGE = 50
_ITEMS = 100
_GUESSES: Mapping[str, Sequence[str]] = {
    "topic": ("topic", "title", "subject", "question", "prompt", "name"),
    "id": ("id", "key", "uuid"),
    "persona": ("persona", "speaker", "audience", "role"),
}


@dataclass(frozen=True, slots=True)
class _PromptPreview:
    """What the page shows of one of the first items."""

    item_id: str
    topic: str
    persona: str | None
    parameters: Mapping[str, Any]
    system: str | None
    user: str | None


@router.get("")
async def list_batches(request: Request, services: OwnerServices, state: State, cursor: Cursor = None) -> Response:
    """The form that starts one, and all that there are, the latest first."""
    page = JobsOut.from_page(await services.batches.list(before=cursor, limit=_PAGE), limit=_PAGE)
    return rendered(request, "batches.html", section="batches", page=page, kinds=ITEMS, is_first=cursor is None)


@router.post("/upload")
async def keep_file(request: Request, file: Annotated[UploadFile, File()]) -> Response:
    """Keep a file, and lead to where its columns are chosen."""
    name = PurePosixPath((file.filename or "").replace("\\", "/")).name[:200]
    ending = PurePosixPath(name).suffix.lower()
    if not name:
        raise Problem(422, "invalid_request", "No file was chosen: choose one, then press the button again")
    if ending not in ITEMS:
        raise Problem(415, "unsupported_file", f"The file's name must end in one of {' '.join(ITEMS)}")
    kept = await _kept(request).keep(file.file, name, ending)
    return redirect_to(request, "/batches/new", file=kept.id)


@router.get("/new")
async def prepare(
    request: Request,
    state: State,
    file: Annotated[Text, Query(max_length=100)],
    job_id: Annotated[JobName | None, EmptyIsNone, Query(alias="jobId")] = None,
    made: Annotated[ShortText, Query()] = None,
    topic: Annotated[ShortText, Query()] = None,
    persona: Annotated[ShortText, Query()] = None,
    id_column: Annotated[ShortText, Query(alias="idColumn")] = None,
    concurrency: Annotated[Concurrency | None, EmptyIsNone, Query()] = None,
    rpm: Annotated[Rpm | None, EmptyIsNone, Query()] = None,
    max_attempts: Annotated[Attempts | None, EmptyIsNone, Query(alias="maxAttempts")] = None,
) -> Response:
    """Choose what the columns are and what makes the conversations; the first prompts show what will be asked."""
    kept = _kept(request).find(file)
    choices = _choices(state)
    if "topic" not in request.query_params:
        topic, persona, id_column = (_guess(kept, what) for what in ("topic", "persona", "id"))
    chosen = made if made in choices else next(iter(choices), None)
    recipe = _recipe(state, chosen)
    prompts, error = await _prompts(kept, ColumnMapping(id_column, topic, persona), recipe)
    return rendered(
        request,
        "batch_new.html",
        section="batches",
        file=kept,
        job_id=job_id or kept.job_id,
        choices=choices,
        chosen=chosen,
        topic=topic,
        persona=persona,
        id_column=id_column,
        prompts=prompts,
        caution=recipe.caution if recipe is not None else None,
        problem=message_of(error) if error is not None else None,
        concurrency=concurrency or state.settings.concurrency,
        rpm=rpm,
        max_attempts=max_attempts or 3,
        bounds_rate=any(choice.startswith("recipe:") for choice in choices),
        is_scripted_only=state.settings.is_scripted_only,
    )


@router.post("/start")
async def start(
    request: Request,
    services: OwnerServices,
    state: State,
    file: Annotated[Text, Form(max_length=100)],
    job_id: Annotated[JobName, Form(alias="jobId")],
    made: Annotated[Text, Form(max_length=250)],
    topic: Annotated[ShortText, Form()] = None,
    persona: Annotated[ShortText, Form()] = None,
    id_column: Annotated[ShortText, Form(alias="idColumn")] = None,
    concurrency: Annotated[Concurrency | None, EmptyIsNone, Form()] = None,
    rpm: Annotated[Rpm | None, EmptyIsNone, Form()] = None,
    max_attempts: Annotated[Attempts, Form(alias="maxAttempts")] = 3,
) -> Response:
    """Make the job, and begin to work on it."""
    kept = _kept(request).find(file)
    kind, _, name = made.partition(":")
    making = processor_from(
        state, recipe=name if kind == "recipe" else None, processor=name if kind == "processor" else None
    )
    columns = ColumnMapping(id_column, topic, persona)
    try:
        job = await services.batches.create(
            job_id,
            kept.path,
            making,
            max_attempts=max_attempts,
            columns=columns,
            ceiling=state.settings.ceiling_of_items,
            concurrency=concurrency,
            rpm=rpm if kind == "recipe" else None,  # the form has this field for every choice
        )
    except BackstayError as error:
        raise renamed(error, kept.path, kept.name) from error
    await state.supervisor.start(services.owner, job.id)
    return redirect_to(request, "/batches/one", id=job.id)


@router.get("/one")
async def show_batch(
    request: Request, services: OwnerServices, state: State, job_id: Name, cursor: Cursor = None
) -> Response:
    """One job: where it stands, what can be done, its items."""
    job = await services.batches.checkpoint(job_id)
    evidence = await services.batches.evidence(job_id)
    items = await services.batches.items_page(job_id, after=-1 if cursor is None else cursor, limit=_ITEMS)
    return rendered(
        request,
        "batch.html",
        section="batches",
        job=JobDetailOut.from_job_and_evidence(job, evidence),
        may_skip=job.pause is not None and may_concern_one_item(job.pause.code),
        options=state.permission.options(job),
        is_finished=job.state in FINISHED,
        is_cancelled=job.state is JobState.CANCELLED,
        is_worked=_is_worked(job),
        page=ItemsOut.from_page(items, limit=_ITEMS),
        is_first=cursor is None,
    )


@router.post("/act")
async def act(
    request: Request,
    services: OwnerServices,
    state: State,
    job_id: FormName,
    action: Annotated[Literal["resume", "resume-failed", "pause", "cancel", "retry", "skip", "discard"], Form()],
    item: Annotated[list[Id] | None, Form()] = None,
    confirm: Annotated[ShortText, Form()] = None,
) -> Response:
    """Do one thing to a job, and show it again."""
    match action:
        case "resume":
            await state.supervisor.resume(services.owner, job_id, confirm=confirm)
        case "resume-failed" | "retry":
            await state.supervisor.resume(services.owner, job_id, confirm=confirm, retries=item)
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
async def ask_to_cancel(request: Request, services: OwnerServices, job_id: Name) -> Response:
    """Say what cancelling means, and ask."""
    return rendered(
        request, "cancel.html", section="batches", job=JobOut.from_job(await services.batches.checkpoint(job_id))
    )


@router.get("/resume")
async def ask_to_resume(request: Request, services: OwnerServices, state: State, job_id: Name) -> Response:
    """Name the function that a batch calls, and ask."""
    job = await services.batches.checkpoint(job_id)
    options = state.permission.options(job)
    return rendered(request, "resume.html", section="batches", job=JobOut.from_job(job), options=options)


@router.get("/discard")
async def ask_to_discard(request: Request, services: OwnerServices, job_id: Name) -> Response:
    """Say what discarding means, and ask."""
    return rendered(
        request, "discard.html", section="batches", job=JobOut.from_job(await services.batches.checkpoint(job_id))
    )


def _is_worked(job: Job) -> bool:
    # A worker that died still has its row; one that stops may have it for a moment after the job was paused.
    return job.state is JobState.RUNNING or (bool(job.workers) and job.state is not JobState.INTERRUPTED)


def _kept(request: Request) -> PendingUploads:
    files: PendingUploads = request.app.state.pending_uploads
    return files


def _choices(state: State) -> dict[str, str]:
    """Return what can make conversations: the value of a form, and its name."""
    allowed = state.allowed
    recipes = {f"recipe:{name}": f"{name} ({allowed.recipes[name].model})" for name in sorted(allowed.recipes)}
    return recipes | {f"processor:{name}": name for name in sorted(allowed.processors)}


def _recipe(state: State, chosen: str | None) -> Recipe | None:
    kind, _, name = (chosen or "").partition(":")
    return state.allowed.recipes.get(name) if kind == "recipe" else None


def _guess(kept: PendingUpload, what: str) -> str | None:
    """Return the column that is named as such columns mostly are; for the topic the first where none is."""
    named = {column.casefold(): column for column in reversed(kept.columns)}
    found = next((named[name] for name in _GUESSES[what] if name in named), None)
    return kept.columns[0] if found is None and what == "topic" and kept.columns else found


async def _prompts(
    kept: PendingUpload, columns: ColumnMapping, recipe: Recipe | None
) -> tuple[Sequence[_PromptPreview], BackstayError | None]:
    """Return what the first items are and will be asked, or why these columns are of no use."""
    found: list[_PromptPreview] = []
    try:
        async for chunk in read_items([dict(row) for row in kept.rows], columns):
            for one in chunk:
                item = to_item(one)
                prompt = recipe.prompts.render(item, f"{kept.name} row {one.line}") if recipe is not None else None
                system, user = (prompt.system, prompt.user) if prompt is not None else (None, None)
                found.append(_PromptPreview(item.id, item.topic, item.persona, item.parameters, system, user))
    except BackstayError as error:
        return (), error
    return found, None
