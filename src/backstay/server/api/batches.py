"""Batch jobs: made, looked at, steered."""

import json
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import AfterValidator, Field
from starlette.responses import Response

from backstay.batch.job import RunLimits
from backstay.library.id_text import LONGEST_ID
from backstay.readers.depth import TOO_DEEP, is_too_deep
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
    signed_in,
)
from backstay.server.api.selections import Id
from backstay.server.id_routes import IdRoute
from backstay.server.idempotency import IdempotencyKey, MakeNote, once
from backstay.server.processors import processor_from

router = APIRouter(prefix="/api/batches", tags=["batches"], dependencies=[signed_in], route_class=IdRoute)

JobName = Annotated[Text, Field(min_length=1, max_length=LONGEST_ID, examples=["topics"])]
Name = Annotated[Text, Field(min_length=1, max_length=200)]
Attempts = Annotated[int, Field(ge=1, le=1_000)]
Seconds = Annotated[float, Field(gt=0, le=604_800, allow_inf_nan=False, strict=False)]
Concurrency = Annotated[int, Field(ge=1, le=10_000)]
Rpm = Annotated[int, Field(ge=0, le=10_000_000, description="0 lifts the limit.")]
Tpm = Annotated[int, Field(ge=0, le=10_000_000_000, description="0 lifts the limit.")]
ItemIds = Annotated[list[Id], Field(min_length=1, max_length=10_000)]


def _is_json(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    # What Python reads as JSON may be none: NaN, or half of a surrogate pair.
    try:
        json.dumps(items, allow_nan=False, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ValueError("it is not valid Unicode") from None
    except RecursionError:
        raise ValueError(f"it is {TOO_DEEP}") from None
    if any(map(is_too_deep, items)):
        raise ValueError(f"it is {TOO_DEEP}")
    return items


class BatchIn(ApiInput):
    """A new job. One of `recipe` and `processor` says what makes its conversations: names of the server's settings."""

    job_id: JobName
    items: Annotated[
        list[dict[str, Any]],
        Field(
            min_length=1,
            max_length=100_000,
            examples=[[{"id": "t1", "topic": "Lighthouses", "persona": "a keeper", "audience": "children"}]],
        ),
        AfterValidator(_is_json),
    ]
    """Each with a `topic`; `id` and `persona` where there are any; all else are parameters."""
    recipe: Name | None = None
    processor: Name | None = None
    max_attempts: Attempts = 3
    timeout_seconds: Seconds = 600.0
    start: bool = True
    """Begin to work on it at once."""
    concurrency: Concurrency | None = None
    """Calls in flight at most. The job keeps this, `rpm` and `tpm` until new ones are given."""
    rpm: Rpm | None = None
    """Requests a minute at most, where a recipe is followed."""
    tpm: Tpm | None = None
    """Tokens a minute at most, where a recipe is followed."""


class ResumeIn(ApiInput):
    concurrency: Concurrency | None = None
    """Calls in flight at most. The job keeps this, `rpm` and `tpm`; without them its last values apply."""
    rpm: Rpm | None = None
    """Requests a minute at most, where a recipe is followed."""
    tpm: Tpm | None = None
    """Tokens a minute at most, where a recipe is followed."""
    limit: Annotated[int, Field(ge=1, le=10**12)] | None = None
    """Items that this run claims at most."""
    confirm: Name | None = None
    """The function that the job calls, if `GET` of this address returns one in `confirm`."""
    retry_failed: bool = False
    """Put all failed items back to pending first."""
    retry_items: ItemIds | None = None
    """Put these failed items back to pending first; `retry_failed` includes them."""


class RetryIn(ApiInput):
    item_ids: ItemIds | None = None
    """All failed items when it is left out."""


class SkipIn(ApiInput):
    item_ids: ItemIds
    """Pending or failed items: all of them are skipped, or none."""


@router.get("", responses=errors())
async def list_batches(
    services: OwnerServices,
    cursors: OwnCursors,
    incomplete: Annotated[bool, Query(description="Only jobs with work left.")] = False,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> JobsOut:
    """List jobs, the latest first."""
    listed = services.batches.incomplete if incomplete else services.batches.list
    found = await listed(before=cursors.decode(cursor), limit=limit)
    return JobsOut.from_page(found, limit=limit, cursor=cursors.encode)


@router.post("", status_code=201, response_model=JobOut, responses=errors(403, 409, 413, 429))
async def create_batch(
    request: Request, given: BatchIn, services: OwnerServices, state: State, key: IdempotencyKey = None
) -> Response:
    """Make a job of items.

    The same job with the same items again is the job that is there; with others it is refused.
    """
    making = processor_from(state, recipe=given.recipe, processor=given.processor)

    async def act(_: MakeNote | None) -> tuple[int, JobOut]:
        job = await services.batches.create(
            given.job_id,
            given.items,
            making,
            max_attempts=given.max_attempts,
            timeout=given.timeout_seconds,
            concurrency=given.concurrency,
            rpm=given.rpm,
            tpm=given.tpm,
        )
        if given.start:
            job = await state.supervisor.start(services.owner, job.id)
        return 201, JobOut.from_job(job)

    return await once(request, key, given.model_dump(mode="json"), act, location="/api/batches/{id}")


@router.get("/{jobId:id}/resume", responses=errors(404))
async def resume_options(job_id: JobId, services: OwnerServices, state: State) -> ResumeOptionsOut:
    """Say whether this server may resume a job, and what has to be confirmed first.

    A server resumes what its settings name, and on one's own machine also the jobs that a command started there.
    """
    options = state.permission.options(await services.batches.checkpoint(job_id))
    return ResumeOptionsOut(**asdict(options))


@router.post("/{jobId:id}/resume", status_code=202, response_model=JobOut, responses=errors(403, 404, 409, 429))
async def resume_batch(
    request: Request,
    job_id: JobId,
    services: OwnerServices,
    state: State,
    given: ResumeIn | None = None,
    key: IdempotencyKey = None,
) -> Response:
    """Have this server go on with a job; it works in the background. While it does, asking again changes nothing."""
    wanted = given or ResumeIn()

    async def act(_: MakeNote | None) -> tuple[int, JobOut]:
        job = await state.supervisor.resume(
            services.owner,
            job_id,
            confirm=wanted.confirm,
            limits=RunLimits(wanted.concurrency, wanted.rpm, wanted.tpm),
            limit=wanted.limit,
            retries=None if wanted.retry_failed else wanted.retry_items or (),
        )
        return 202, JobOut.from_job(job)

    return await once(request, key, [job_id, wanted.model_dump(mode="json")], act)


@router.post("/{jobId:id}/pause", response_model=JobOut, responses=errors(404, 409))
async def pause_batch(request: Request, job_id: JobId, services: OwnerServices, key: IdempotencyKey = None) -> Response:
    """Stop a job for now: every worker on it stops gracefully, wherever it runs."""

    async def act(_: MakeNote | None) -> tuple[int, JobOut]:
        return 200, JobOut.from_job(await services.batches.pause(job_id))

    return await once(request, key, [job_id], act)


@router.post("/{jobId:id}/cancel", response_model=JobOut, responses=errors(404, 409))
async def cancel_batch(
    request: Request, job_id: JobId, services: OwnerServices, key: IdempotencyKey = None
) -> Response:
    """Stop a job for good. What it made stays."""

    async def act(_: MakeNote | None) -> tuple[int, JobOut]:
        return 200, JobOut.from_job(await services.batches.cancel(job_id))

    return await once(request, key, [job_id], act)


@router.post("/{jobId:id}/retry", response_model=RetryOut, responses=errors(404, 409))
async def retry_items(
    request: Request, job_id: JobId, services: OwnerServices, given: RetryIn | None = None, key: IdempotencyKey = None
) -> Response:
    """Put failed items back to pending; resuming works on them."""
    wanted = given or RetryIn()

    async def act(_: MakeNote | None) -> tuple[int, RetryOut]:
        number = await services.batches.retry(job_id, wanted.item_ids)
        return 200, RetryOut(job=JobOut.from_job(await services.batches.checkpoint(job_id)), retried=number)

    return await once(request, key, [job_id, wanted.model_dump(mode="json")], act)


@router.post("/{jobId:id}/skip", response_model=SkipOut, responses=errors(404, 409))
async def skip_items(
    request: Request, job_id: JobId, services: OwnerServices, given: SkipIn, key: IdempotencyKey = None
) -> Response:
    """Skip pending or failed items; a job with nothing left is then finished."""

    async def act(_: MakeNote | None) -> tuple[int, SkipOut]:
        number = await services.batches.skip(job_id, given.item_ids)
        return 200, SkipOut(job=JobOut.from_job(await services.batches.checkpoint(job_id)), skipped=number)

    return await once(request, key, [job_id, given.model_dump(mode="json")], act)


@router.post("/{jobId:id}/discard", response_model=DiscardOut, responses=errors(404, 409))
async def discard_batch(
    request: Request, job_id: JobId, services: OwnerServices, key: IdempotencyKey = None
) -> Response:
    """Forget a job and free its name. Its conversations stay."""

    async def act(_: MakeNote | None) -> tuple[int, DiscardOut]:
        await services.batches.discard(job_id)
        return 200, DiscardOut(id=job_id)

    return await once(request, key, [job_id], act)


@router.get("/{jobId:id}/items", responses=errors(404))
async def list_items(job_id: JobId, services: OwnerServices, cursor: Cursor = None, limit: Limit = 50) -> ItemsOut:
    """List the items of a job in their order, each with where it stands."""
    page = await services.batches.items_page(job_id, after=-1 if cursor is None else cursor, limit=limit)
    return ItemsOut.from_page(page, limit=limit)


@router.get("/{jobId:id}/failed", responses=errors(404))
async def list_failed_items(
    job_id: JobId, services: OwnerServices, cursor: Cursor = None, limit: Limit = 50
) -> FailedItemsOut:
    """List failed items in their order, each with the attempt that settled it."""
    page = await services.batches.failed_page(job_id, after=-1 if cursor is None else cursor, limit=limit)
    return FailedItemsOut.from_page(page, limit=limit)
