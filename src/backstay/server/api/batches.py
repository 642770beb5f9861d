"""Batch jobs: create, list, resume, pause, cancel, retry, skip and discard."""

import json
from typing import Annotated, Any, Self, TypeVar

from fastapi import Query, Request
from pydantic import AfterValidator, Field, model_validator
from starlette.responses import Response

from backstay import limits
from backstay.batch.call_limits import CallLimits
from backstay.batch.deleted_results import DeletedRetryResult
from backstay.readers.json_depth import TOO_DEEP, is_too_deep
from backstay.schemas import DiscardOut, FailedItemsOut, ItemsOut, JobOut, JobsOut, ResumeOptionsOut, RetryOut, SkipOut
from backstay.server.api.common import (
    ApiInput,
    Cursor,
    JobId,
    Limit,
    OwnCursors,
    OwnerServices,
    State,
    Text,
    errors,
    token_scheme,
)
from backstay.server.api.selections import Id
from backstay.server.idempotency import IdempotencyKey, MakeReceipt, respond_once
from backstay.server.ids_with_slashes import IdRoute
from backstay.server.requested_processor import requested_processor
from backstay.server.routers import Router

router = Router(prefix="/api/batches", tags=["batches"], dependencies=[token_scheme], route_class=IdRoute)

T = TypeVar("T")
JobName = Annotated[Text, Field(min_length=1, max_length=limits.MAX_ID, examples=["topics"])]
Name = Annotated[Text, Field(min_length=1, max_length=limits.MAX_NAME)]
Attempts = Annotated[int, Field(ge=1, le=limits.MAX_ATTEMPTS)]
Seconds = Annotated[float, Field(ge=limits.MIN_SECONDS, le=limits.MAX_SECONDS, allow_inf_nan=False, strict=False)]
Concurrency = Annotated[int, Field(ge=1, le=limits.MAX_CONCURRENCY)]
Rpm = Annotated[int, Field(ge=0, le=limits.MAX_RPM, description="0 lifts the limit.")]
Tpm = Annotated[int, Field(ge=0, le=limits.MAX_TPM, description="0 lifts the limit.")]
ItemIds = Annotated[list[Id], Field(min_length=1, max_length=limits.MAX_IDS)]


def check_json(value: T) -> T:
    """Check that a list of objects, or an object, can be stored as JSON. Raises ValueError."""
    # Python reads some invalid JSON: NaN, and halves of surrogate pairs.
    try:
        json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ValueError("it is not valid Unicode") from None
    except ValueError:
        raise ValueError("it has a number that is not finite") from None
    except RecursionError:
        raise ValueError(f"it is {TOO_DEEP}") from None
    if any(map(is_too_deep, value if isinstance(value, list) else [value])):
        raise ValueError(f"it is {TOO_DEEP}")
    return value


class BatchIn(ApiInput):
    """A new job. Either `recipe` or `processor`, a name from the server's settings, generates its conversations."""

    job_id: JobName
    items: Annotated[
        list[dict[str, Any]],
        Field(
            min_length=1,
            max_length=limits.MAX_ITEMS,
            examples=[[{"id": "t1", "topic": "Lighthouses", "persona": "a keeper", "audience": "children"}]],
        ),
        AfterValidator(check_json),
    ]
    """Items: `topic` is required, `id` and `persona` are optional, and all other fields are parameters."""
    recipe: Name | None = None
    processor: Name | None = None
    max_attempts: Attempts = 3
    timeout_seconds: Seconds = 600.0
    start: bool = True
    """Start working on the job at once."""
    concurrency: Concurrency | None = None
    """Maximum calls in flight. The job keeps this value until another is set; the same holds for `rpm` and `tpm`."""
    rpm: Rpm | None = None
    """Maximum requests per minute, if the job uses a recipe."""
    tpm: Tpm | None = None
    """Maximum tokens per minute, if the job uses a recipe."""


class ResumeIn(ApiInput):
    concurrency: Concurrency | None = None
    """Maximum calls in flight; if omitted, the job's latest value applies. The same holds for `rpm` and `tpm`."""
    rpm: Rpm | None = None
    """Maximum requests per minute, if the job uses a recipe."""
    tpm: Tpm | None = None
    """Maximum tokens per minute, if the job uses a recipe."""
    limit: Annotated[int, Field(ge=1, le=limits.MAX_RUN_ITEMS)] | None = None
    """Maximum number of items that this run claims."""
    confirm: Name | None = None
    """The function that the job calls, if `GET` of this address returns one in `confirm`."""
    retry_failed: bool = False
    """Requeue all failed items first."""
    retry_items: ItemIds | None = None
    """Requeue these failed items first; `retryFailed` includes them."""


class RetryIn(ApiInput):
    item_ids: ItemIds | None = None
    """The failed items to requeue; all if omitted. A completed item is requeued too if its conversation was deleted."""
    deleted: bool = False
    """Requeue the completed items whose conversations were deleted, and no failed ones."""

    @model_validator(mode="after")
    def _check_items(self) -> Self:
        if self.deleted and self.item_ids is not None:
            raise ValueError("`deleted` requeues all items with deleted conversations; leave out `itemIds`")
        return self


class SkipIn(ApiInput):
    item_ids: ItemIds
    """Pending or failed items: either all are skipped, or none."""


@router.get("", responses=errors())
async def list_batches(
    services: OwnerServices,
    cursors: OwnCursors,
    incomplete: Annotated[bool, Query(description="Only unfinished jobs.")] = False,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> JobsOut:
    """List jobs, latest first."""
    list_jobs = services.batches.incomplete if incomplete else services.batches.list
    page = await list_jobs(before=cursors.decode(cursor), limit=limit)
    waiting = await services.waiting_imports.list() if cursor is None else ()
    return JobsOut.from_page(page, waiting, limit=limit, cursor=cursors.encode)


@router.post("", status_code=201, response_model=JobOut, responses=errors(403, 409, 413, 429))
async def create_batch(
    request: Request, body: BatchIn, services: OwnerServices, state: State, key: IdempotencyKey = None
) -> Response:
    """Create a job from items.

    If a job with this name exists, it is returned if it has the same items; otherwise the request is refused.
    """
    writer = requested_processor(state.allowed, recipe=body.recipe, processor=body.processor)

    async def create(_: MakeReceipt | None) -> tuple[int, JobOut]:
        job = await services.batches.create(
            body.job_id,
            body.items,
            writer,
            max_attempts=body.max_attempts,
            timeout_seconds=body.timeout_seconds,
            concurrency=body.concurrency,
            rpm=body.rpm,
            tpm=body.tpm,
        )
        if body.start:
            job = await state.supervisor.start(services.owner, job.id)
        return 201, JobOut.from_job(job)

    return await respond_once(request, key, body.model_dump(mode="json"), create, location="/api/batches/{id}")


@router.get("/{jobId:id}/resume", responses=errors(404))
async def resume_options(job_id: JobId, services: OwnerServices, state: State) -> ResumeOptionsOut:
    """Show whether this server may resume a job, and what a request has to confirm.

    A server resumes what its settings name. On the user's own machine it also resumes jobs that a command started.
    """
    options = state.permission.options(await services.batches.checkpoint(job_id))
    return ResumeOptionsOut.model_validate(options)


@router.post("/{jobId:id}/resume", status_code=202, response_model=JobOut, responses=errors(403, 404, 409, 429))
async def resume_batch(
    request: Request,
    job_id: JobId,
    services: OwnerServices,
    state: State,
    body: ResumeIn | None = None,
    key: IdempotencyKey = None,
) -> Response:
    """Resume a job in the background of this server. While it runs, repeating the request changes nothing."""
    options = body or ResumeIn()

    async def resume(_: MakeReceipt | None) -> tuple[int, JobOut]:
        job = await state.supervisor.resume(
            services.owner,
            job_id,
            confirm=options.confirm,
            limits=CallLimits(options.concurrency, options.rpm, options.tpm),
            limit=options.limit,
            retries=None if options.retry_failed else options.retry_items or (),
        )
        return 202, JobOut.from_job(job)

    return await respond_once(request, key, [job_id, options.model_dump(mode="json")], resume)


@router.post("/{jobId:id}/pause", response_model=JobOut, responses=errors(404, 409))
async def pause_batch(request: Request, job_id: JobId, services: OwnerServices, key: IdempotencyKey = None) -> Response:
    """Pause a job. All its workers, on any machine, stop gracefully."""

    async def pause(_: MakeReceipt | None) -> tuple[int, JobOut]:
        return 200, JobOut.from_job(await services.batches.pause(job_id))

    return await respond_once(request, key, [job_id], pause)


@router.post("/{jobId:id}/cancel", response_model=JobOut, responses=errors(404, 409))
async def cancel_batch(
    request: Request, job_id: JobId, services: OwnerServices, key: IdempotencyKey = None
) -> Response:
    """Cancel a job permanently. Its conversations stay."""

    async def cancel(_: MakeReceipt | None) -> tuple[int, JobOut]:
        return 200, JobOut.from_job(await services.batches.cancel(job_id))

    return await respond_once(request, key, [job_id], cancel)


@router.post("/{jobId:id}/retry", response_model=RetryOut, responses=errors(404, 409))
async def retry_items(
    request: Request, job_id: JobId, services: OwnerServices, body: RetryIn | None = None, key: IdempotencyKey = None
) -> Response:
    """Requeue failed items, or those whose conversations were deleted; the next run of the job processes them."""
    options, batches = body or RetryIn(), services.batches

    async def retry(_: MakeReceipt | None) -> tuple[int, RetryOut]:
        if options.deleted:
            result = await batches.retry_deleted(job_id)
        else:
            result = DeletedRetryResult(await batches.retry(job_id, options.item_ids), without_input=0)
        job = JobOut.from_job(await batches.checkpoint(job_id))
        return 200, RetryOut(job=job, retried=result.retried, without_input=result.without_input)

    return await respond_once(request, key, [job_id, options.model_dump(mode="json")], retry)


@router.post("/{jobId:id}/skip", response_model=SkipOut, responses=errors(404, 409))
async def skip_items(
    request: Request, job_id: JobId, services: OwnerServices, body: SkipIn, key: IdempotencyKey = None
) -> Response:
    """Skip pending or failed items. A job without pending items is then finished."""

    async def skip(_: MakeReceipt | None) -> tuple[int, SkipOut]:
        number = await services.batches.skip(job_id, body.item_ids)
        return 200, SkipOut(job=JobOut.from_job(await services.batches.checkpoint(job_id)), skipped=number)

    return await respond_once(request, key, [job_id, body.model_dump(mode="json")], skip)


@router.post("/{jobId:id}/discard", response_model=DiscardOut, responses=errors(404, 409))
async def discard_batch(
    request: Request, job_id: JobId, services: OwnerServices, key: IdempotencyKey = None
) -> Response:
    """Discard a job and free its name. Its conversations stay."""

    async def discard(_: MakeReceipt | None) -> tuple[int, DiscardOut]:
        await services.batches.discard(job_id)
        return 200, DiscardOut(id=job_id)

    return await respond_once(request, key, [job_id], discard)


@router.get("/{jobId:id}/items", responses=errors(404))
async def list_items(job_id: JobId, services: OwnerServices, cursor: Cursor = None, limit: Limit = 50) -> ItemsOut:
    """List the items of a job in order, each with its state."""
    page = await services.batches.items_page(job_id, after=-1 if cursor is None else cursor, limit=limit)
    return ItemsOut.from_page(page, limit=limit)


@router.get("/{jobId:id}/failed", responses=errors(404))
async def list_failed_items(
    job_id: JobId, services: OwnerServices, cursor: Cursor = None, limit: Limit = 50
) -> FailedItemsOut:
    """List failed items in order, each with the attempt that decided its failure."""
    page = await services.batches.failed_page(job_id, after=-1 if cursor is None else cursor, limit=limit)
    return FailedItemsOut.from_page(page, limit=limit)
