"""One job as it is, and as it changes. These addresses take any name before their end, so they are looked up last."""

from fastapi import APIRouter
from starlette.responses import Response

from backstay.schemas import JobDetailOut
from backstay.server.api.common import STREAM, JobId, LastEventId, OwnerServices, State, errors, signed_in
from backstay.server.events.job_feed import JobFeed
from backstay.server.events.response import EventsResponse
from backstay.server.id_routes import IdRoute

router = APIRouter(prefix="/api/batches", tags=["batches"], dependencies=[signed_in], route_class=IdRoute)


@router.get("/{jobId:id}/events", responses={**errors(404, 429), **STREAM}, response_class=Response)
async def batch_events(
    job_id: JobId, services: OwnerServices, state: State, last_event_id: LastEventId = None
) -> Response:
    """Follow a job, whoever works on it, by server-sent events.

    `progress` tells the job, how fast it goes and how long it will take; the latest counts. `state` tells that the
    job's state has changed. `item_failed` tells of one failed item; its number is the event's id, and who sends the
    last one as `Last-Event-ID` misses none. The stream ends when the job does.
    """

    def make() -> JobFeed:
        return JobFeed(services.batches, job_id, poll_seconds=state.settings.poll_seconds)

    after = int(last_event_id) if last_event_id is not None else None
    return EventsResponse(state.hub, "job", services.owner, job_id, make, after=after)


@router.get("/{jobId:id}", responses=errors(404))
async def show_batch(job_id: JobId, services: OwnerServices) -> JobDetailOut:
    """Show where a job stands; of one that paused by itself also the answers that led to it, in `pauseEvidence`."""
    job = await services.batches.checkpoint(job_id)
    return JobDetailOut.from_job_and_evidence(job, await services.batches.evidence(job_id))
