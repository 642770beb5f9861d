"""Authentication of a request by its head, before its body is read."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from starlette.datastructures import QueryParams
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from backstay.errors import BackstayError
from backstay.server.auth.cookie import refuse_other_origins
from backstay.server.problems import Problem, refuse, unauthorized
from backstay.server.request_paths import OPERATIONS, SIGN_IN, path_of

_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
_MAX_TOKEN_CHARACTERS = 16_384
PUBLIC = OPERATIONS | {"/", "/openapi.json", "/docs", SIGN_IN}
"""Paths that need no token. `/metrics` has a token of its own, and the form of `SIGN_IN` contains one."""
STATIC_PREFIX = "/static/"
"""The prefix of static files, which are public."""
_TICKET_PATH = re.compile(r"/api/backup/download/[^/]{1,512}")


@dataclass(frozen=True, slots=True)
class RequestIdentity:
    """The owner of a request, and the end of its authentication."""

    owner: str
    ends_at: float | None = None
    """When the request's token or session ends, in seconds since 1970; None if it never does."""
    current_end: Callable[[], Awaitable[float | None]] | None = None
    """With a session: returns `ends_at` as it is now, or None if the session has ended."""


class Authenticator(Protocol):
    """A way of signing in."""

    @property
    def trusted_origins(self) -> tuple[str, ...]:
        """Origins of other sites on whose pages the cookie works."""
        ...

    async def identity_of(self, token: str) -> RequestIdentity | None:
        """Return the identity of a bearer token; None if the token is not valid.

        Raises Problem if the token cannot be verified at the moment.
        """
        ...

    async def identity_of_cookie(self, request: HTTPConnection) -> RequestIdentity | None:
        """Return the identity that the cookie of a request signs in; None if there is no valid cookie.

        Raises StorageError.
        """
        ...

    async def sign_in(self, request: HTTPConnection, response: Response, identity: RequestIdentity) -> RequestIdentity:
        """Add to a response the cookie of a token's identity, and return that of the cookie.

        A session that the request's cookie has opened for the same owner is renewed.

        Raises Problem if the token has expired, and StorageError.
        """
        ...

    async def sign_out(self, request: HTTPConnection, response: Response) -> None:
        """Remove the cookie of a browser, and end its session; with a bearer token, all sessions of its owner.

        Raises StorageError.
        """
        ...

    async def close(self) -> None:
        """Release all resources. Idempotent."""
        ...


class AuthenticationMiddleware:
    """Middleware that refuses unauthenticated requests."""

    def __init__(self, app: ASGIApp, *, authenticator: Authenticator) -> None:
        self._app = app
        self._authenticator = authenticator

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or path_of(scope) in PUBLIC or path_of(scope).startswith(STATIC_PREFIX):
            await self._app(scope, receive, send)
            return
        try:
            identity = await self._identity(scope)
            scope.setdefault("state", {}).update(owner=identity and identity.owner, identity=identity)
        except (Problem, BackstayError) as problem:
            await refuse(problem, scope, receive, send)
            return
        await self._app(scope, receive, send)

    async def _identity(self, scope: Scope) -> RequestIdentity | None:
        """Return the identity of a request; None if its route may accept a ticket instead."""
        request = HTTPConnection(scope)
        if is_bearer := "authorization" in request.headers:
            identity = await identity_of_bearer(self._authenticator, request)
        else:
            identity = await self._identity_of_cookie(request)
        if identity is None and (is_bearer or not _may_have_ticket(scope)):
            raise unauthorized()
        return identity

    async def _identity_of_cookie(self, request: HTTPConnection) -> RequestIdentity | None:
        identity = await self._authenticator.identity_of_cookie(request)
        if identity is not None and (request.scope["method"] not in _SAFE_METHODS or "origin" in request.headers):
            refuse_other_origins(request, self._authenticator.trusted_origins)
        return identity


async def identity_of_bearer(authenticator: Authenticator, request: HTTPConnection) -> RequestIdentity | None:
    """Return the identity of a request's bearer token; None if it has no valid one. Raises Problem."""
    authorizations = request.headers.getlist("authorization")
    # Two headers are refused, because a proxy may have checked the one that this server would not.
    if len(authorizations) != 1:
        return None
    return await authenticator.identity_of(bearer(authorizations[0]))


def _may_have_ticket(scope: Scope) -> bool:
    return (
        scope["method"] == "GET"
        and _TICKET_PATH.fullmatch(path_of(scope)) is not None
        and "ticket" in QueryParams(scope["query_string"])
    )


def bearer(header: str) -> str:
    """Return the bearer token of an Authorization header; empty if it has none."""
    scheme, _, token = header.partition(" ")
    token = token.strip()
    return token if scheme.lower() == "bearer" and _is_possible(token) else ""


def _is_possible(token: str) -> bool:
    return len(token) <= _MAX_TOKEN_CHARACTERS and token.isascii() and " " not in token
