"""What a request may cost before anybody looks at it: its host, its size, its patience; and how many at once."""

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backstay.server.paths import PROBES, path_of
from backstay.server.problems import Problem, refuse

UPLOADS = frozenset(("/api/batches/upload", "/api/conversations/import", "/batches/upload"))
_OF_THIS_MACHINE = ("localhost", "127.0.0.1", "[::1]")


class Hosts:
    """Refuses requests under a name that is not ours: a page elsewhere may have had its own name lead to us.

    Probes are answered under any: they come by an address that nobody can name beforehand, and say nothing of users.
    """

    def __init__(self, app: ASGIApp, *, names: Collection[str], local: bool) -> None:
        self._app = app
        self._names = frozenset(name.lower() for name in (*names, *(_OF_THIS_MACHINE if local else ())))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and self._names and path_of(scope) not in PROBES:
            given = Headers(scope=scope).getlist("host")
            if len(given) != 1 or _name(given[0]) not in self._names:
                await refuse(Problem(421, "wrong_host", "This server is not called so"), scope, receive, send)
                return
        await self._app(scope, receive, send)


class Bodies:
    """Bounds how much of a request is read, and how long is waited for the next piece of it."""

    def __init__(self, app: ASGIApp, *, most: int, most_uploaded: int, idle_seconds: float) -> None:
        self._app = app
        self._most = most
        self._most_uploaded = most_uploaded
        self._idle_seconds = idle_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        most = self._most_uploaded if path_of(scope) in UPLOADS else self._most
        length = headers.get("content-length", "")
        if headers.get("content-encoding", "identity") != "identity":
            problem = Problem(415, "unsupported_encoding", "Send the body as it is, without Content-Encoding")
            await refuse(problem, scope, receive, send)
        elif length.isdecimal() and int(length[:20]) > most:
            await refuse(_too_large(most), scope, receive, send)
        else:
            await self._app(scope, _Body(receive, most, self._idle_seconds).receive, send)


class _Body:
    """Hands a body on, piece by piece."""

    def __init__(self, receive: Receive, most: int, idle_seconds: float) -> None:
        self._receive = receive
        self._most = most
        self._idle_seconds = idle_seconds
        self._read = 0
        self._is_whole = False

    async def receive(self) -> Message:
        if self._is_whole:  # what comes now is that the client went away, whenever that is
            return await self._receive()
        try:
            message = await asyncio.wait_for(self._receive(), self._idle_seconds)
        except TimeoutError:
            raise Problem(
                408, "too_slow", "The rest of the request did not come", headers={"Connection": "close"}
            ) from None
        self._read += len(message.get("body", b""))
        if self._read > self._most:
            raise _too_large(self._most)
        self._is_whole = not message.get("more_body", False)
        return message


class Places:
    """How many of one kind may be under way at once; those beyond are refused, and do not wait."""

    def __init__(self, what: str, most: int) -> None:
        self._what = what
        self._most = most
        self.taken = 0

    @asynccontextmanager
    async def one(self) -> AsyncIterator[None]:
        """Take a place for as long as the context lasts. Raises Problem when all are taken."""
        self.refuse_when_full()
        self.taken += 1
        try:
            yield
        finally:
            self.taken -= 1

    def refuse_when_full(self) -> None:
        if self.taken >= self._most:
            raise Problem(
                429,
                "too_many",
                f"There are {self._most} {self._what} at once already; try again in a moment",
                headers={"Retry-After": "5"},
                limit=self._most,
            )


def _too_large(most: int) -> Problem:
    # The rest of it is still coming: only closing the connection ends that.
    return Problem(
        413, "too_large", f"The body may have {most:,} bytes at most", headers={"Connection": "close"}, limit=most
    )


def _name(host: str) -> str:
    """Return the name of a Host header, without its port."""
    if host.startswith("["):
        return host.partition("]")[0].lower() + "]"
    return host.rpartition(":")[0].lower() if ":" in host else host.lower()
