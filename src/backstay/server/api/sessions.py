"""Browser sessions: a token is exchanged for a cookie, with which the pages open."""

from datetime import UTC, datetime

from fastapi import Request
from starlette.responses import Response

from backstay.schemas import SessionOut
from backstay.server.api.common import State, errors, token_scheme
from backstay.server.auth.authentication import RequestIdentity, identity_of_bearer
from backstay.server.problems import unauthorized
from backstay.server.routers import Router

router = Router(prefix="/api/session", tags=["sessions"], dependencies=[token_scheme])


@router.get("", responses=errors())
async def show_session(request: Request, state: State) -> SessionOut:
    """Show who is signed in, and until when."""
    cookie = await state.authenticator.identity_of_cookie(request)
    return _session(request.state.identity, has_cookie=cookie is not None)


@router.post("", responses=errors())
async def sign_in(request: Request, response: Response, state: State) -> SessionOut:
    """Exchange the request's token for a cookie, or renew the cookie. The session ends when the token expires.

    A browser takes no cookie from a request of another site. The form of `/sign-in` works from there.
    """
    identity = await identity_of_bearer(state.authenticator, request)
    if identity is None:  # the request was authenticated by its cookie
        raise unauthorized()
    is_from_other_site = request.headers.get("sec-fetch-site") == "cross-site"
    if not is_from_other_site:
        identity = await state.authenticator.sign_in(request, response, identity)
    return _session(identity, has_cookie=not is_from_other_site)


@router.delete("", status_code=204, responses=errors(403))
async def sign_out(request: Request, state: State) -> Response:
    """Remove the cookie and end its session; with a token, end all sessions of its owner."""
    response = Response(status_code=204)
    await state.authenticator.sign_out(request, response)
    return response


def _session(identity: RequestIdentity, *, has_cookie: bool) -> SessionOut:
    ends_at = datetime.fromtimestamp(identity.ends_at, UTC) if identity.ends_at is not None else None
    return SessionOut(owner=identity.owner, ends_at=ends_at, has_cookie=has_cookie)
