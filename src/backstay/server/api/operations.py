"""For whoever runs the server: is it alive, can it work, how does it do."""

import hmac

from fastapi import APIRouter, Request
from starlette.responses import Response

from backstay.schemas import ApiObject
from backstay.server.api.common import State, errors
from backstay.server.auth.authenticator import bearer
from backstay.server.problems import unauthorized

router = APIRouter(tags=["operations"])


class HealthOut(ApiObject):
    status: str


@router.get("/healthz", responses={422: errors()[422]})
async def healthz() -> HealthOut:
    """Say that the process lives, whatever it depends on."""
    return HealthOut(status="ok")


@router.get("/readyz", responses={status: errors()[status] for status in (422, 503)})
async def readyz(state: State) -> HealthOut:
    """Say whether requests can be served: the database answers."""
    await state.backstay.check()
    return HealthOut(status="ok")


@router.get(
    "/metrics",
    response_class=Response,
    responses={
        401: errors()[401],
        422: errors()[422],
        200: {"description": "Prometheus metrics.", "content": {"text/plain": {"schema": {"type": "string"}}}},
    },
)
async def metrics(request: Request, state: State) -> Response:
    """Show metrics, to whoever has the metrics token or, on one's own machine, the local token."""
    given = request.headers.getlist("authorization")
    token = bearer(given[0]) if len(given) == 1 else ""
    own = state.settings.metrics_token
    may = own is not None and hmac.compare_digest(token.encode(), own.encode())
    if not may and not (state.local is not None and state.local.is_token(token)):
        raise unauthorized()
    return Response(state.metrics.render(), media_type="text/plain; version=0.0.4; charset=utf-8")
