"""Limits that apply before a route: allowed hosts, the size and pace of bodies, and concurrent requests."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backstay.server.paths import OPERATIONS, path_of
from backstay.server.problems import Problem, refuse

UPLOADS = frozenset(("/api/batches/upload", "/api/conversations/import", "/batches/upload"))
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
            if len(hosts) != 1 or _name(hosts[0]) not in self._names:
                text = "This host name is not allowed; `allowed_hosts` in the server's settings can add it"
                await refuse(Problem(421, "wrong_host", text), scope, receive, send)
                return
        await self._app(scope, receive, send)


class BodyLimit:
    """Middleware that limits the size of bodies, and the wait for the next part of one.

    An upload goes to disk, so it takes a slot of `uploads` before any of it is read. Every other body is held in
    memory, so each byte of it takes a slot of `bytes_held` until the request has ended.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        most: int,
        most_uploaded: int,
        idle_seconds: float,
        uploads: "ConcurrencyLimit",
        bytes_held: "ConcurrencyLimit",
    ) -> None:
        self._app = app
        self._most = most
        self._most_uploaded = most_uploaded
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
            most = self._most_uploaded if is_upload else self._most
            _check_head(Headers(scope=scope), most)
            if is_upload:
                self._uploads.acquire(owner)
        except Problem as problem:
            await refuse(_closing(problem), scope, receive, send)
            return
        body = _Body(receive, most, self._idle_seconds, owner, None if is_upload else self._bytes_held)
        try:
            await self._app(scope, body.receive, send)
        finally:
            body.release()
            if is_upload:
                self._uploads.release(owner)


class _Body:
    """The body of one request, passed on message by message."""

    def __init__(
        self, receive: Receive, most: int, idle_seconds: float, owner: str | None, slots: "ConcurrencyLimit | None"
    ) -> None:
        self._receive = receive
        self._most = most
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
            raise _closing(Problem(408, "too_slow", "The rest of the request did not arrive in time")) from None
        length = len(message.get("body", b""))
        self._read += length
        if self._read > self._most:
            raise _closing(_too_large(self._most))
        self._acquire(length)
        self._is_whole = not message.get("more_body", False)
        return message

    def _acquire(self, length: int) -> None:
        if self._slots is not None:
            try:
                self._slots.acquire(self._owner, length)
            except Problem as problem:
                raise _closing(problem) from None
            self._held += length

    def release(self) -> None:
        """Release the slots of this body."""
        if self._slots is not None:
            self._slots.release(self._owner, self._held)
        self._held = 0


class ConcurrencyLimit:
    """A limit of concurrent requests of one kind, in total and per owner. Requests beyond it are refused at once.

    Args:
        counted: What is counted, for messages.
        setting: The name of the setting with the limit.
        most: The limit.
        share: The share of the limit that one owner may take.
    """

    def __init__(self, counted: str, setting: str, most: int, *, share: float = 1.0) -> None:
        self._counted = counted
        self._setting = setting
        self._most = most
        self._most_per_owner = max(1, int(most * share))
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
        if self.taken + count > self._most:
            raise self._full(self._most, "This server", f"`{self._setting}`")

    def acquire(self, owner: str | None, count: int = 1) -> None:
        """Take slots, to be hosts back. Raises Problem when too few are left, for all or for this owner."""
        self.refuse_when_full(count)
        if self._by_owner[owner] + count > self._most_per_owner:
            raise self._full(self._most_per_owner, "One owner", f"`{self._setting}` and `owner_share`")
        self._by_owner[owner] += count

    def release(self, owner: str | None, count: int = 1) -> None:
        """Release slots."""
        self._by_owner[owner] -= count
        if not self._by_owner[owner]:
            del self._by_owner[owner]

    def _full(self, most: int, subject: str, settings: str) -> Problem:
        return Problem(
            429,
            "too_many",
            f"{subject} may have at most {most:,} {self._counted} at once ({settings}); try again in a moment",
            headers={"Retry-After": "5"},
            limit=most,
            setting=self._setting,
        )


def _check_head(headers: Headers, most: int) -> None:
    """Raise Problem if the head of a request already rules out its body."""
    length = headers.get("content-length", "")
    if headers.get("content-encoding", "identity") != "identity":
        raise Problem(415, "unsupported_encoding", "Content-Encoding is not supported; send the body without it")
    if length.isdecimal() and int(length[:20]) > most:
        raise _too_large(most)


def _too_large(most: int) -> Problem:
    return Problem(413, "too_large", f"The body may have at most {most:,} bytes", limit=most)


def _closing(problem: Problem) -> Problem:
    """Have a problem close its connection, because only that stops the rest of a body. Return the problem."""
    problem.headers = {**(problem.headers or {}), "Connection": "close"}
    return problem


def _name(host: str) -> str:
    """Return the name in a Host header, without the port."""
    if host.startswith("["):
        return host.partition("]")[0].lower() + "]"
    return host.rpartition(":")[0].lower() if ":" in host else host.lower()
