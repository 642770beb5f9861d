"""What a request may cost before anybody looks at it: its host, its size, its patience; and how many at once."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backstay.server.paths import OPERATIONS, path_of
from backstay.server.problems import Problem, refuse

UPLOADS = frozenset(("/api/batches/upload", "/api/conversations/import", "/batches/upload"))
_OF_THIS_MACHINE = ("localhost", "127.0.0.1", "[::1]")


class AllowedHosts:
    """Refuses requests under a name that is not ours: a page elsewhere may have had its own name lead to us.

    Health checks and metrics answer under any name: orchestrators use addresses that are not known beforehand, and the
    answers reveal nothing of users.
    """

    def __init__(self, app: ASGIApp, *, names: Collection[str], local: bool) -> None:
        self._app = app
        self._names = frozenset(name.lower() for name in (*names, *(_OF_THIS_MACHINE if local else ())))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and self._names and path_of(scope) not in OPERATIONS:
            given = Headers(scope=scope).getlist("host")
            if len(given) != 1 or _name(given[0]) not in self._names:
                text = "This server does not answer under this name; `allowed_hosts` of its settings can add it"
                await refuse(Problem(421, "wrong_host", text), scope, receive, send)
                return
        await self._app(scope, receive, send)


class BodyLimit:
    """Limits how much of a request is read, and how long to wait for its next part.

    An upload goes to disk, so it takes one of the slots for `uploads` before any of it is read. Every other body is
    held in memory, so each byte of it takes one of the slots for `bytes_held` until the request has ended.
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
    """Hands a body on, piece by piece."""

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
        if self._is_whole:  # what comes now is that the client went away, whenever that is
            return await self._receive()
        try:
            message = await asyncio.wait_for(self._receive(), self._idle_seconds)
        except TimeoutError:
            raise _closing(Problem(408, "too_slow", "The rest of the request did not come")) from None
        length = len(message.get("body", b""))
        self._read += length
        if self._read > self._most:
            raise _closing(_too_large(self._most))
        self._hold(length)
        self._is_whole = not message.get("more_body", False)
        return message

    def _hold(self, length: int) -> None:
        if self._slots is not None:
            try:
                self._slots.acquire(self._owner, length)
            except Problem as problem:
                raise _closing(problem) from None
            self._held += length

    def release(self) -> None:
        """Release what it has taken."""
        if self._slots is not None:
            self._slots.release(self._owner, self._held)
        self._held = 0


class ConcurrencyLimit:
    """A limit of concurrent requests of one kind, in total and per owner; more are refused at once.

    Args:
        what: What is counted, for messages.
        setting: The name of the setting with the limit.
        most: The limit.
        share: The part of it that one owner may take.
    """

    def __init__(self, what: str, setting: str, most: int, *, share: float = 1.0) -> None:
        self._what = what
        self._setting = setting
        self._most = most
        self._most_of_one = max(1, int(most * share))
        self._by_owner: Counter[str | None] = Counter()

    @property
    def taken(self) -> int:
        """The number of slots taken."""
        return self._by_owner.total()

    @asynccontextmanager
    async def slot(self, owner: str) -> AsyncIterator[None]:
        """Take a place for as long as the context lasts. Raises Problem as `take` does."""
        self.acquire(owner)
        try:
            yield
        finally:
            self.release(owner)

    def refuse_when_full(self, count: int = 1) -> None:
        """Raise Problem when too few slots are left for all."""
        if self.taken + count > self._most:
            raise self._full(self._most, "There are", f"`{self._setting}` allows")

    def acquire(self, owner: str | None, count: int = 1) -> None:
        """Take slots, to be given back. Raises Problem when too few are left, for all or for this owner."""
        self.refuse_when_full(count)
        if self._by_owner[owner] + count > self._most_of_one:
            raise self._full(self._most_of_one, "You have", f"`{self._setting}` and `owner_share` allow")
        self._by_owner[owner] += count

    def release(self, owner: str | None, count: int = 1) -> None:
        """Give slots back."""
        self._by_owner[owner] -= count
        if not self._by_owner[owner]:
            del self._by_owner[owner]

    def _full(self, most: int, beginning: str, allowed: str) -> Problem:
        return Problem(
            429,
            "too_many",
            f"{beginning} {most:,} {self._what} at once already, as many as {allowed}; try again in a moment",
            headers={"Retry-After": "5"},
            limit=most,
            setting=self._setting,
        )


def _check_head(headers: Headers, most: int) -> None:
    """Raise Problem for a body that its head already rules out."""
    length = headers.get("content-length", "")
    if headers.get("content-encoding", "identity") != "identity":
        raise Problem(415, "unsupported_encoding", "Send the body as it is, without Content-Encoding")
    if length.isdecimal() and int(length[:20]) > most:
        raise _too_large(most)


def _too_large(most: int) -> Problem:
    return Problem(413, "too_large", f"The body may have {most:,} bytes at most", limit=most)


def _closing(problem: Problem) -> Problem:
    """Return a problem that ends its connection: the rest of a body is still coming, and nothing else stops it."""
    problem.headers = {**(problem.headers or {}), "Connection": "close"}
    return problem


def _name(host: str) -> str:
    """Return the name of a Host header, without its port."""
    if host.startswith("["):
        return host.partition("]")[0].lower() + "]"
    return host.rpartition(":")[0].lower() if ":" in host else host.lower()
