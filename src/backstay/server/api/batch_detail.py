"""One job and its events. These routes match any job id, so they are registered last."""

from functools import partial

from starlette.responses import Response

from backstay.schemas import JobDetailOut
from backstay.server.api.common import (
    JobId,
    LastEventId,
    OwnerServices,
    State,
    errors,
    stream_responses,
    token_scheme,
)
from backstay.server.events.job_feed import JobFeed
from backstay.server.events.response import EventsResponse
from backstay.server.ids_with_slashes import IdRoute
from backstay.server.routers import Router

router = Router(prefix="/api/batches", tags=["batches"], dependencies=[token_scheme], route_class=IdRoute)


@router.get(
    "/{jobId:id}/events",
    responses={**errors(404, 429), **stream_responses("progress", "state", "item_failed")},
    response_class=Response,
)
async def batch_events(
    job_id: JobId, services: OwnerServices, state: State, last_event_id: LastEventId = None
) -> Response:
    """Follow a job through server-sent events, whichever process works on it.

    `progress` holds the job, its rate and the estimated time left; each replaces the previous one. `state` is sent when
    the job's state changes. `item_failed` is sent for each failed item, with its number as the event's id. A client
    that sends its latest id as `Last-Event-ID` misses no failed item. The stream ends when the job ends.
    """
    create_feed = partial(JobFeed, services.batches, job_id, poll_seconds=state.settings.poll_seconds)
    return EventsResponse(state.hub, "job", services.owner, job_id, create_feed, last_event_id)


@router.get("/{jobId:id}", responses=errors(404))
async def show_batch(job_id: JobId, services: OwnerServices) -> JobDetailOut:
    """Show a job. If it paused itself, `pauseEvidence` holds the attempts that led to the pause."""
    batches = services.batches
    job, evidence = await batches.checkpoint(job_id), await batches.evidence(job_id)
    return JobDetailOut.from_job_and_evidence(job, evidence, await batches.deleted_results(job_id))
