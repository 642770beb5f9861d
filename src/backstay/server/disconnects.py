"""Clients that go away while something is read for them: it is read no further."""

import asyncio
from contextlib import suppress

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backstay.server.problems import Problem, note_code, refuse

_READING = frozenset(("GET", "HEAD"))


class Disconnects:
    """Cancels a request that changes nothing when its client goes away before the answer has begun.

    One that changes something runs to its end, and an answer that has begun sees for itself that no one reads it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] not in _READING:
            await self._app(scope, receive, send)
            return
        client = _Client(receive, send)
        working = asyncio.ensure_future(self._app(scope, client.receive, client.send))
        watching = asyncio.create_task(client.watch())
        try:
            await asyncio.wait((working, watching), return_when=asyncio.FIRST_COMPLETED)
            if not working.done() and not client.is_answered:
                working.cancel()
                with suppress(asyncio.CancelledError):
                    await working
                note_code(scope, "client_gone")
                if client.problem is not None and not client.is_answered:
                    await refuse(client.problem, scope, receive, send)
            else:
                await working
        finally:
            for task in (working, watching):
                task.cancel()
            await asyncio.wait((working, watching))
            # The traceback of an error holds this frame. Holding the task that holds the error, it would keep all that
            # the request had in memory until the collector comes by.
            del task, working, watching


class _Client:
    """The other end of one request, which has no body that anything would read."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._gone = asyncio.Event()
        self._is_asked = False
        self.is_answered = False
        """The answer has begun."""
        self.problem: Problem | None = None
        """Why no more is read from it, though it is there."""

    async def watch(self) -> None:
        """Return when it has gone."""
        try:
            while (await self._receive())["type"] != "http.disconnect":
                pass
        except Problem as problem:
            self.problem = problem
        finally:
            self._gone.set()

    async def receive(self) -> Message:
        if not self._is_asked:
            self._is_asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        self.is_answered = True
        await self._send(message)
