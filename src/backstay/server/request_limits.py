"""Limits that apply before a route: allowed hosts, the size and pace of bodies, and concurrent requests."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backstay.server.problems import Problem, refuse
from backstay.server.request_paths import OPERATIONS, SIGN_IN, path_of

UPLOADS = frozenset(("/api/batches/upload", "/api/conversations/import", "/batches/upload", "/conversations/import"))
_MAX_SIGN_IN_BYTES = 32_768
_LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")


class AllowedHosts:
    """Middleware that refuses other host names, because a hostile page can make its own name resolve to this server.

    Health checks and metrics accept any name: orchestrators use addresses that are not known beforehand, and the
    responses reveal nothing about users.
    """

    def __init__(self, app: ASGIApp, *, names: Collection[str], local: bool) -> None:
        self._app = app
        self._names = frozenset(name.lower() for name in (*names, *(_LOOPBACK_NAMES if local else ())))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and self._names and path_of(scope) not in OPERATIONS:
            hosts = Headers(scope=scope).getlist("host")
            if len(hosts) != 1 or host_name(hosts[0]) not in self._names:
                message = "This host name is not allowed; `allowed_hosts` in the server's settings can add it"
                await refuse(Problem(421, "wrong_host", message), scope, receive, send)
                return
        await self._app(scope, receive, send)


class BodyLimit:
    """Middleware that limits the size of bodies, and the wait for a body's next part.

    An upload goes to disk, so it takes a slot of `uploads` before any of it is read. Every other body is held in
    memory, so each byte of it takes a slot of `bytes_held` until the request has ended.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        max_bytes: int,
        max_upload_bytes: int,
        idle_seconds: float,
        uploads: "ConcurrencyLimit",
        bytes_held: "ConcurrencyLimit",
    ) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._max_upload_bytes = max_upload_bytes
        self._idle_seconds = idle_seconds
        self._uploads = uploads
        self._bytes_held = bytes_held

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        is_upload = scope["method"] == "POST" and path_of(scope) in UPLOADS
        owner: str | None = scope.get("state", {}).get("owner")
        try:
            # The form is read before its token is verified.
            is_sign_in = path_of(scope) == SIGN_IN
            max_bytes = self._max_upload_bytes if is_upload else _MAX_SIGN_IN_BYTES if is_sign_in else self._max_bytes
            _check_head(Headers(scope=scope), max_bytes)
            if is_upload:
                self._uploads.acquire(owner)
        except Problem as problem:
            await refuse(_close_connection(problem), scope, receive, send)
            return
        body = _Body(receive, max_bytes, self._idle_seconds, owner, None if is_upload else self._bytes_held)
        try:
            await self._app(scope, body.receive, send)
        finally:
            body.release()
            if is_upload:
                self._uploads.release(owner)


class _Body:
    """The body of one request, passed on message by message."""

    def __init__(
        self, receive: Receive, max_bytes: int, idle_seconds: float, owner: str | None, slots: "ConcurrencyLimit | None"
    ) -> None:
        self._receive = receive
        self._max_bytes = max_bytes
        self._idle_seconds = idle_seconds
        self._owner = owner
        self._slots = slots
        self._read = 0
        self._held = 0
        self._is_whole = False

    async def receive(self) -> Message:
        if self._is_whole:  # the only message left is the disconnect
            return await self._receive()
        try:
            message = await asyncio.wait_for(self._receive(), self._idle_seconds)
        except TimeoutError:
            raise _close_connection(
                Problem(408, "too_slow", "The rest of the request did not arrive in time")
            ) from None
        length = len(message.get("body", b""))
        self._read += length
        if self._read > self._max_bytes:
            raise _close_connection(_too_large(self._max_bytes))
        self._acquire(length)
        self._is_whole = not message.get("more_body", False)
        return message

    def _acquire(self, length: int) -> None:
        if self._slots is not None:
            try:
                self._slots.acquire(self._owner, length)
            except Problem as problem:
                raise _close_connection(problem) from None
            self._held += length

    def release(self) -> None:
        """Release the slots of this body."""
        if self._slots is not None:
            self._slots.release(self._owner, self._held)
        self._held = 0


class ConcurrencyLimit:
    """A limit of concurrent requests of one kind, in total and per owner. Requests beyond it are refused at once.

    Args:
        counted: Name of the limited requests, for messages.
        setting: Name of the setting with the limit.
        limit: The maximum number of slots taken at once.
        share: The share of the limit that one owner may take.
    """

    def __init__(self, counted: str, setting: str, limit: int, *, share: float = 1.0) -> None:
        self._counted = counted
        self._setting = setting
        self._limit = limit
        self._limit_per_owner = max(1, int(limit * share))
        self._by_owner: Counter[str | None] = Counter()

    @property
    def taken(self) -> int:
        """The number of slots taken."""
        return self._by_owner.total()

    @asynccontextmanager
    async def slot(self, owner: str) -> AsyncIterator[None]:
        """Hold a slot until the context exits. Raises Problem like `acquire`."""
        self.acquire(owner)
        try:
            yield
        finally:
            self.release(owner)

    def refuse_when_full(self, count: int = 1) -> None:
        """Raise Problem if too few slots are free."""
        if self.taken + count > self._limit:
            raise self._full(self._limit, "This server", f"`{self._setting}`")

    def acquire(self, owner: str | None, count: int = 1) -> None:
        """Take slots, which `release` frees. Raises Problem when too few are left, in total or for this owner."""
        self.refuse_when_full(count)
        if self._by_owner[owner] + count > self._limit_per_owner:
            raise self._full(self._limit_per_owner, "One owner", f"`{self._setting}` and `owner_share`")
        self._by_owner[owner] += count

    def release(self, owner: str | None, count: int = 1) -> None:
        """Release slots."""
        self._by_owner[owner] -= count
        if not self._by_owner[owner]:
            del self._by_owner[owner]

    def _full(self, limit: int, subject: str, settings: str) -> Problem:
        return Problem(
            429,
            "too_many",
            f"{subject} may have at most {limit:,} {self._counted} at once ({settings}); try again in a moment",
            headers={"Retry-After": "5"},
            limit=limit,
            setting=self._setting,
        )


def _check_head(headers: Headers, max_bytes: int) -> None:
    """Raise Problem if a request's head already rules out its body."""
    length = headers.get("content-length", "")
    if headers.get("content-encoding", "identity") != "identity":
        raise Problem(415, "unsupported_encoding", "Content-Encoding is not supported; send the body without it")
    if length.isdecimal() and int(length[:20]) > max_bytes:
        raise _too_large(max_bytes)


def _too_large(max_bytes: int) -> Problem:
    return Problem(413, "too_large", f"The body may have at most {max_bytes:,} bytes", limit=max_bytes)


def _close_connection(problem: Problem) -> Problem:
    """Return the problem, changed to close its connection, because only that stops the rest of a body."""
    problem.headers = {**(problem.headers or {}), "Connection": "close"}
    return problem


def host_name(host: str) -> str:
    """Return the name in a Host header, without the port."""
    if host.startswith("["):
        return host.partition("]")[0].lower() + "]"
    return host.rpartition(":")[0].lower() if ":" in host else host.lower()
