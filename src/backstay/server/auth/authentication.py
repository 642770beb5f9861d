"""Authentication of a request by its head, before its body is read."""

import re
from dataclasses import dataclass
from typing import Protocol

from starlette.datastructures import Headers, QueryParams
from starlette.types import ASGIApp, Receive, Scope, Send

from backstay.server.problems import Problem, refuse, unauthorized
from backstay.server.request_paths import OPERATIONS, path_of

_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
_MAX_TOKEN_CHARACTERS = 16_384
PUBLIC = OPERATIONS | {"/", "/openapi.json", "/docs"}
"""Paths that need no token. `/metrics` has a token of its own."""
STATIC_PREFIX = "/static/"
"""The prefix of static files, which are public."""
_TICKET_PATH = re.compile(r"/api/backup/download/[^/]{1,512}")


@dataclass(frozen=True, slots=True)
class RequestIdentity:
    """The owner of a request, and the end of its authentication."""

    owner: str
    ends_at: float | None = None
    """When the request's token expires, in seconds since 1970; None if it never does."""


class Authenticator(Protocol):
    """A way of signing in."""

    async def identity_of(self, token: str) -> RequestIdentity | None:
        """Return the identity of a bearer token; None if the token is not valid.

        Raises Problem if the token cannot be verified at the moment.
        """
        ...

    def owner_of_cookie(self, headers: Headers) -> str | None:
        """Return the owner that a cookie signs in; None if there is no such cookie."""
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
            scope.setdefault("state", {}).update(
                owner=identity and identity.owner, ends_at=identity and identity.ends_at
            )
        except Problem as problem:
            await refuse(problem, scope, receive, send)
            return
        await self._app(scope, receive, send)

    async def _identity(self, scope: Scope) -> RequestIdentity | None:
        """Return the identity of a request; None if its route may accept a ticket instead."""
        headers = Headers(scope=scope)
        authorizations = headers.getlist("authorization")
        if authorizations:
            # Two headers are refused, because a proxy may have checked the one that this server would not.
            identity = (
                await self._authenticator.identity_of(bearer(authorizations[0])) if len(authorizations) == 1 else None
            )
        else:
            owner = self._owner_of_cookie(scope, headers)
            identity = RequestIdentity(owner) if owner is not None else None
        if identity is None and (authorizations or not _may_have_ticket(scope)):
            raise unauthorized()
        return identity

    def _owner_of_cookie(self, scope: Scope, headers: Headers) -> str | None:
        owner = self._authenticator.owner_of_cookie(headers)
        if owner is not None and scope["method"] not in _SAFE_METHODS:
            refuse_other_origins(headers, scope["scheme"])
        return owner


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
    if scheme.lower() != "bearer" or len(token) > _MAX_TOKEN_CHARACTERS or not token.isascii() or " " in token:
        return ""
    return token


def refuse_other_origins(headers: Headers, scheme: str) -> None:
    """Check that a request authenticated by a cookie comes from this server's own pages.

    Raises:
        Problem: its Origin header is missing or names another origin.
    """
    own = f"{scheme}://{headers.get('host', '')}"
    if headers.getlist("origin") != [own]:
        raise Problem(403, "origin_refused", "Changes need a request from this server's own pages, or a bearer token")
