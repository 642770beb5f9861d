"""Who comes in, and as whom: before anything of a request is read but its head."""

import re
from dataclasses import dataclass
from typing import Protocol

from starlette.datastructures import Headers, QueryParams
from starlette.types import ASGIApp, Receive, Scope, Send

from backstay.server.paths import OPERATIONS, path_of
from backstay.server.problems import Problem, refuse, unauthorized

_SAFE = ("GET", "HEAD", "OPTIONS")
_LONGEST_TOKEN = 16_384
OPEN = OPERATIONS | {"/", "/openapi.json", "/docs"}
"""What needs no token. `/metrics` has one of its own."""
STATIC = "/static/"
"""What stands below it is the same for everybody."""
_TICKETED = re.compile(r"/api/backup/download/[^/]{1,512}")


@dataclass(frozen=True, slots=True)
class RequestIdentity:
    """The owner of a request, and until when the token is valid."""

    owner: str
    ends_at: float | None = None
    """When its token expires, in seconds since 1970; None if it does not."""


class Authenticator(Protocol):
    """Knows whose a request is."""

    async def identity_of(self, token: str) -> RequestIdentity | None:
        """Return the identity of a bearer token; None if it is not valid.

        Raises Problem when nobody can tell just now.
        """
        ...

    def owner_of_cookie(self, headers: Headers) -> str | None:
        """Return the owner that a cookie stands for, where there are any."""
        ...

    async def close(self) -> None:
        """Let go of what it holds. Twice is safe."""
        ...


class AuthenticationMiddleware:
    """Lets nobody through who does not show whose request it is."""

    def __init__(self, app: ASGIApp, *, authenticator: Authenticator) -> None:
        self._app = app
        self._authenticator = authenticator

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or path_of(scope) in OPEN or path_of(scope).startswith(STATIC):
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
        """Return the identity of a request; None where the address itself may accept a ticket instead."""
        headers = Headers(scope=scope)
        given = headers.getlist("authorization")
        if given:
            # Two of them: one program may have looked at the one and the next at the other.
            identity = await self._authenticator.identity_of(bearer(given[0])) if len(given) == 1 else None
        else:
            owner = self._owner_of_cookie(scope, headers)
            identity = RequestIdentity(owner) if owner is not None else None
        if identity is None and (given or not _may_have_ticket(scope)):
            raise unauthorized()
        return identity

    def _owner_of_cookie(self, scope: Scope, headers: Headers) -> str | None:
        owner = self._authenticator.owner_of_cookie(headers)
        if owner is not None and scope["method"] not in _SAFE:
            refuse_other_origins(headers, scope["scheme"])
        return owner


def _may_have_ticket(scope: Scope) -> bool:
    return (
        scope["method"] == "GET"
        and _TICKETED.fullmatch(path_of(scope)) is not None
        and "ticket" in QueryParams(scope["query_string"])
    )


def bearer(header: str) -> str:
    """Return the token of an Authorization header; empty when it holds none that could be one."""
    scheme, _, token = header.partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or len(token) > _LONGEST_TOKEN or not token.isascii() or " " in token:
        return ""
    return token


def refuse_other_origins(headers: Headers, scheme: str) -> None:
    """See that a request which a cookie speaks for comes from our own pages.

    Raises:
        Problem: it comes from elsewhere, or does not say.
    """
    own = f"{scheme}://{headers.get('host', '')}"
    if headers.getlist("origin") != [own]:
        raise Problem(403, "origin_refused", "Changes are made from this server's own pages, or with a bearer token")
