"""Liveness, readiness and metrics, for operators of the server."""

import hmac

from fastapi import Request
from starlette.responses import Response

from backstay.schemas import ApiObject
from backstay.server.api.common import State, errors
from backstay.server.auth.authentication import bearer
from backstay.server.problems import unauthorized
from backstay.server.routers import Router

router = Router(tags=["operations"])


class HealthOut(ApiObject):
    status: str


@router.get("/healthz", responses={422: errors()[422]})
async def healthz() -> HealthOut:
    """Report that the process is alive, without checking its dependencies."""
    return HealthOut(status="ok")


@router.get("/readyz", responses={status: errors()[status] for status in (422, 503)})
async def readyz(state: State) -> HealthOut:
    """Report whether requests can be served, by querying the database."""
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
    """Return metrics. Needs the metrics token or, on the user's own machine, the local token."""
    authorizations = request.headers.getlist("authorization")
    token = bearer(authorizations[0]) if len(authorizations) == 1 else ""
    expected = state.settings.metrics_token
    is_allowed = expected is not None and hmac.compare_digest(token.encode(), expected.encode())
    if not is_allowed and not (state.local is not None and state.local.is_token(token)):
        raise unauthorized()
    return Response(state.metrics.render(), media_type="text/plain; version=0.0.4; charset=utf-8")
